"""What the edge agent keeps in its file is in Kamailio's tables before the first message is taken."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from control.host.tables import ensure_projection
from kemi import projection, wire
from kemi.settings import SettingsError
from tests.fakes.edge import ALICE, ALICE_AOR, CONNECTION, Edge, codes, connection

DEVICE = wire.DeviceDoc(ALICE_AOR, ALICE.ha1, CONNECTION).encode()
LINE = wire.LineDoc([wire.LineDevice(ALICE.id, True)]).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file as `nightbell up` makes it, with Alice, her phone and her connection in it."""
    path = tmp_path / "projection.db"
    ensure_projection(path)
    for table, key, value in (
        ("device", ALICE.id, DEVICE),
        ("line", ALICE_AOR, LINE),
        ("connection", CONNECTION, connection().encode()),
        ("upstream", CONNECTION, "as it was"),
        ("summary", CONNECTION, "yes 2/8"),
    ):
        write(path, table, key, value)
    return path


def write(path: Path, table: str, key: str, value: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            f"INSERT INTO {table} (key_name, key_type, value_type, key_value, expires) VALUES (?, 0, 0, ?, 0)",  # noqa: S608 - a name of ours
            (key, value),
        )


def test_the_documents_are_in_their_tables(edge: Edge, file: Path) -> None:
    assert projection.load(str(file)) == 4
    assert edge.table("summary") == {CONNECTION: "yes 2/8"}
    assert edge.table("device") == {ALICE.id: DEVICE}
    assert edge.table("line") == {ALICE_AOR: LINE}
    assert edge.table("connection") == {CONNECTION: connection().encode()}


def test_trunks_and_their_numbers_are_loaded_once_the_file_has_them(edge: Edge, file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS trunk AS SELECT * FROM device WHERE 0")
        database.execute("CREATE TABLE IF NOT EXISTS number AS SELECT * FROM device WHERE 0")
    write(file, "trunk", "192.0.2.7", "ctrunk")
    write(file, "number", "ctrunk/+4930", wire.NumberDoc([ALICE_AOR]).encode())
    assert projection.load(str(file)) == 6
    assert edge.table("trunk") == {"192.0.2.7": "ctrunk"}
    assert list(edge.table("number")) == ["ctrunk/+4930"]


def test_a_table_that_the_file_does_not_have_is_empty(edge: Edge, file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DROP TABLE line")
    assert projection.load(str(file)) == 3
    assert edge.table("line") == {}


def test_a_kamailio_that_starts_alone_serves_devices_and_pbxs(tmp_path: Path, file: Path) -> None:
    edge = Edge(tmp_path, projection=str(file))
    try:
        assert codes(edge.register(ALICE)) == [200]
        assert codes(edge.call_from_pbx()) == [100]
    finally:
        edge.close()


def test_documents_that_do_not_fit_end_the_start_and_say_what_to_raise(
    edge: Edge, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.kamailio.htable, "sht_sets", lambda *_: -1)
    with pytest.raises(SettingsError, match=r"full after 0 documents.*shared_memory_mb"):
        projection.load(str(file))


@pytest.mark.parametrize("contents", [None, b"no database at all, but long enough to be taken for one" * 40])
def test_a_file_that_cannot_be_read_ends_the_start_and_is_named(
    edge: Edge, tmp_path: Path, contents: bytes | None
) -> None:
    path = tmp_path / "other.db"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(SettingsError, match=r"other\.db cannot be read"):
        projection.load(str(path))
    assert not path.exists() or path.read_bytes() == contents, "it is not for us to make it"


def test_what_a_registration_was_is_found_by_its_connection(file: Path) -> None:
    with projection.Kept(str(file)) as kept:
        assert kept.upstream(CONNECTION) == "as it was"
        assert kept.upstream("cother") == ""


@pytest.mark.parametrize("name", ["", "nowhere.db", "folder"])
def test_without_the_file_every_connection_is_registered_anew(edge: Edge, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with projection.Kept(str(tmp_path / name) if name else "") as kept:
        assert kept.upstream(CONNECTION) == ""
    assert len(edge.kamailio.errors) == bool(name), "and that is said"


def test_a_file_without_registrations_has_none(edge: Edge, file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DROP TABLE upstream")
    with projection.Kept(str(file)) as kept:
        assert kept.upstream(CONNECTION) == ""
    assert edge.kamailio.errors == []
