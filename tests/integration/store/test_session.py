"""Migrations, transactions and what is sealed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from control.domain.secret import Secret
from control.services import installation, people
from control.store.errors import DatabaseVersionError, SealBrokenError, SealKeyMissingError
from control.store.models import Base, Device
from control.store.seal import Seal
from control.store.session import Store, create_store_engine, upgrade


def test_migrations_make_exactly_the_tables_of_the_models(url: str) -> None:
    upgrade(url)
    engine = create_store_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_upgrade_a_second_time_changes_nothing_and_keeps_the_rows(url: str) -> None:
    upgrade(url)
    store = Store(url, Seal([Seal.new_key()]))
    with store.write() as session:
        people.add_user(session, "alice")
    upgrade(url)
    with store.read() as session:
        assert [user.id for user in people.list_users(session)] == ["alice"]
    store.close()


def test_upgrades_at_the_same_time_all_succeed(url: str) -> None:
    failures: list[Exception] = []

    def run() -> None:
        try:
            upgrade(url)
        except Exception as error:  # noqa: BLE001  reported below
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    upgrade(url)
    engine = create_store_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(DatabaseVersionError, match="9999"):
        upgrade(url)


def test_a_write_that_raises_leaves_nothing(store: Store) -> None:
    def add_and_fail() -> None:
        with store.write() as session:
            people.add_user(session, "alice")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        add_and_fail()
    with store.read() as session:
        assert people.list_users(session) == []


def test_an_sqlite_reader_sees_one_state_while_a_writer_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    upgrade(url)
    store = Store(url, Seal([Seal.new_key()]))
    with store.read() as reader:
        assert people.list_users(reader) == []
        with store.write() as writer:
            people.add_user(writer, "alice")
        reader.expire_all()
        assert people.list_users(reader) == []
    store.close()


def test_writers_wait_for_each_other_instead_of_failing(store: Store) -> None:
    failures: list[Exception] = []

    def add(number: int) -> None:
        try:
            with store.write() as session:
                people.list_users(session)  # a read first: what makes a deferred SQLite transaction fail
                people.add_user(session, f"user{number}")
        except Exception as error:  # noqa: BLE001  reported below
            failures.append(error)

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with store.read() as session:
        assert len(people.list_users(session)) == 8


def test_foreign_keys_are_enforced(session: Session) -> None:
    session.add(Device(id="x-1", user_id="nobody", name="x", ha1="x", created_at=0.0))
    with pytest.raises(IntegrityError):
        session.flush()
    session.rollback()


def test_sealed_values_open_with_an_older_key_and_not_with_another() -> None:
    old, new = Seal.new_key(), Seal.new_key()
    sealed = Seal([old]).close(Secret("correct horse"))
    assert "horse" not in sealed
    assert Seal([new, old]).open(sealed).reveal() == "correct horse"
    with pytest.raises(SealBrokenError):
        Seal([new]).open(sealed)


def test_a_missing_or_malformed_seal_key_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SealKeyMissingError, match="nightbell init"):
        Seal.read(tmp_path / "seal.key")
    (tmp_path / "seal.key").write_text("short\n")
    with pytest.raises(SealKeyMissingError, match="base64"):
        Seal.read(tmp_path / "seal.key")


def test_initialise_writes_private_keys_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state/control.db"
    made = installation.initialise(tmp_path, url)
    assert {path.name for path in made} == {"seal.key", "events.key", "identity.key", "vapid.pem"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in made)
    before = [path.read_text() for path in made]
    assert installation.initialise(tmp_path, url) == []
    assert [path.read_text() for path in made] == before
    Store.open(url, tmp_path).close()
