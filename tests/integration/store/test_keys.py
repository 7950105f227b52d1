"""Rotation of the seal's key: nothing is lost, whatever interrupts it; the old key opens nothing afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from control.domain.connection import ConnectionSpec
from control.domain.secret import Secret
from control.services import connection_changes, connections, keys, people
from control.store.errors import KeysBusyError, KeysReadOnlyError, SealBrokenError, SealKeyMissingError
from control.store.models import Base, Connection, Device
from control.store.seal import Seal, read_keys, replace_keys, write_secret
from control.store.session import Store, seal_key_file, seal_of

PASSWORD = "pw-of-the-pbx"
DOMAIN = "nightbell.test"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets/seal.key"
    write_secret(path, Seal.new_key())
    return path


@pytest.fixture
def opened(store: Store, file: Path) -> Iterator[Store]:
    """The store, sealed by the key in the file, with a few values in it."""
    opened = Store(store.engine.url.render_as_string(hide_password=False), Seal.read(file))
    with opened.write() as session:
        people.add_user(session, "alice")
        for n in range(5):
            people.add_device(session, "alice", f"Phone {n}", DOMAIN)
            connections.add_connection(session, spec(f"c{n}"))
        connection_changes.open_inbound(session, "c0", DOMAIN)
    yield opened
    opened.close()


def spec(name: str) -> ConnectionSpec:
    return ConnectionSpec(name, "192.0.2.7", "1002", Secret(PASSWORD))


def sealed(store: Store) -> list[str]:
    with store.read() as session:
        values = [
            *session.scalars(select(Connection.password)),
            *session.scalars(select(Connection.inbound_ha1)),
            *session.scalars(select(Device.ha1)),
        ]
    return [value for value in values if value]


def opens_all(store: Store, seal: Seal) -> bool:
    try:
        return all(seal.open(value).reveal() for value in sealed(store))
    except SealBrokenError:
        return False


def test_after_a_rotation_only_the_new_key_opens_everything(opened: Store, file: Path) -> None:
    (old,) = read_keys(file)
    done = keys.rotate(opened, file)
    assert (done.resealed, done.resumed) == (11, False)
    (new,) = read_keys(file)
    assert new != old
    assert opens_all(opened, Seal([new]))
    assert not any(_opens(Seal([old]), value) for value in sealed(opened))
    assert file.stat().st_mode & 0o777 == 0o600


def _opens(seal: Seal, value: str) -> bool:
    try:
        seal.open(value)
    except SealBrokenError:
        return False
    return True


class Crash(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("step", range(13))
def test_killed_at_any_step_nothing_is_lost_and_the_next_call_finishes(
    opened: Store, file: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(keys, "PAGE", 2)
    left = step

    def dying(work: Callable[..., None]) -> Callable[..., None]:
        def run(*args: object) -> None:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            work(*args)

        return run

    with monkeypatch.context() as patched:
        patched.setattr(keys, "replace_keys", dying(replace_keys))
        patched.setattr(keys, "_reseal_one", dying(keys._reseal_one))
        with pytest.raises(Crash):
            keys.rotate(opened, file)
    after = Store(opened.engine.url.render_as_string(hide_password=False), Seal.read(file))
    assert opens_all(after, Seal.read(file)), "what is in the file must open what is in the database, always"
    assert keys.rotate(after, file).resumed == (step > 0)
    assert len(read_keys(file)) == 1
    assert opens_all(after, Seal.read(file))
    after.close()


def test_a_process_at_work_follows_the_rotation_without_a_restart(opened: Store, file: Path) -> None:
    other = Store(opened.engine.url.render_as_string(hide_password=False), Seal.read(file))
    keys.rotate(opened, file)
    keys.rotate(opened, file)
    with other.write() as session:
        row = connections.get_connection(session, "c0")
        assert seal_of(session).open(row.password).reveal() == PASSWORD
        connections.add_connection(session, spec("later"))
    assert opens_all(opened, Seal(read_keys(file)))
    other.close()


def test_what_is_stored_while_the_keys_rotate_can_be_opened(
    opened: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value of the old key, sealed and not yet committed when the new key comes, is sealed anew too."""
    held, begun = threading.Event(), threading.Event()
    seen: list[bool] = []

    def store_slowly() -> None:
        with opened.write() as session:
            connections.add_connection(session, spec("slow"))
            begun.set()
            seen.append(held.wait(10))

    def release(path: Path, wanted: list[str]) -> None:
        replace_keys(path, wanted)
        held.set()

    writer = threading.Thread(target=store_slowly)
    writer.start()
    assert begun.wait(10)
    monkeypatch.setattr(keys, "replace_keys", release)
    keys.rotate(opened, file)
    writer.join(10)
    assert seen == [True]
    assert opens_all(opened, Seal(read_keys(file)))


def test_two_rotations_at_once_are_one(opened: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def meanwhile(path: Path, wanted: list[str]) -> None:
        with pytest.raises(KeysBusyError):
            keys.rotate(opened, file)
        refused.append("")
        replace_keys(path, wanted)

    monkeypatch.setattr(keys, "replace_keys", meanwhile)
    keys.rotate(opened, file)
    assert refused


def test_a_value_that_no_key_opens_stops_the_rotation_and_keeps_the_old_key(
    opened: Store, file: Path
) -> None:
    with opened.write() as session:
        connections.get_connection(session, "c3").password = Seal([Seal.new_key()]).close(Secret("x"))
    (old,) = read_keys(file)
    with pytest.raises(SealBrokenError):
        keys.rotate(opened, file)
    assert old in read_keys(file)


def test_keys_that_cannot_be_written_are_said_so(opened: Store, file: Path) -> None:
    with pytest.raises((KeysReadOnlyError, SealKeyMissingError)):
        keys.rotate(opened, file.parent / "nowhere" / "seal.key")


def test_a_key_that_systemd_hands_over_is_taken(tmp_path: Path, file: Path) -> None:
    credentials = tmp_path / "credentials"
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert seal_key_file(tmp_path, environment) == file
    write_secret(credentials / "seal.key", Seal.new_key())
    assert seal_key_file(tmp_path, environment) == credentials / "seal.key"
    assert seal_key_file(tmp_path, {}) == file


def test_no_password_and_no_digest_stands_in_the_database_in_clear(opened: Store, tmp_path: Path) -> None:
    with opened.write() as session:
        row = connections.get_connection(session, "c0")
        connections.learn_realm(session, row.id, "asterisk")
        secrets = [PASSWORD] + [seal_of(session).open(v).reveal() for v in sealed(opened)]
        rows = [session.execute(select(table)).all() for table in Base.metadata.sorted_tables]
    found = str(rows).encode() + b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))
    assert b"asterisk" in found
    assert not [secret for secret in secrets if secret.encode() in found]
