"""Documents out of shared memory: parsed once per content, never stale."""

from __future__ import annotations

import pytest

from kemi import documents, wire
from kemi.documents import Table
from tests.fakes.edge import ALICE_AOR, Edge, connection


@pytest.fixture
def table(edge: Edge) -> Table[wire.DeviceDoc]:
    return Table("device", wire.DeviceDoc)


def test_a_document_is_read(edge: Edge, table: Table[wire.DeviceDoc]) -> None:
    document = wire.DeviceDoc(ALICE_AOR, "0" * 32, "c1")
    edge.put("device", "alice", document)
    assert table.get("alice") == document


def test_the_same_text_is_parsed_once(edge: Edge, table: Table[wire.DeviceDoc]) -> None:
    edge.put("device", "alice", wire.DeviceDoc(ALICE_AOR, "0" * 32))
    assert table.get("alice") is table.get("alice")


def test_a_changed_document_is_seen_at_once(edge: Edge, table: Table[wire.DeviceDoc]) -> None:
    for ha1 in ("0" * 32, "1" * 32, "0" * 32):
        edge.put("device", "alice", wire.DeviceDoc(ALICE_AOR, ha1))
        document = table.get("alice")
        assert document is not None
        assert document.ha1 == ha1


def test_a_removed_document_is_gone_at_once(edge: Edge, table: Table[wire.DeviceDoc]) -> None:
    edge.put("device", "alice", wire.DeviceDoc(ALICE_AOR, "0" * 32))
    table.get("alice")
    del edge.table("device")["alice"]
    assert table.get("alice") is None


@pytest.mark.parametrize("text", ["", "x", "[]", '{"v":2}', '{"v":1,"aor":1,"ha1":""}'])
def test_a_document_that_cannot_be_read_is_none_and_logged_by_its_key(
    edge: Edge, table: Table[wire.DeviceDoc], text: str
) -> None:
    edge.table("device")["alice"] = text
    assert table.get("alice") is None
    assert all("DeviceDoc" in line and "alice" in line for line in edge.kamailio.errors)
    assert len(edge.kamailio.errors) == bool(text)


def test_what_is_kept_parsed_has_its_limit(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_KEPT", 10)
    table = Table("device", wire.DeviceDoc)
    for number in range(100):
        edge.put("device", f"d{number}", wire.DeviceDoc(ALICE_AOR, f"{number:032x}"))
        assert table.get(f"d{number}") is not None
        assert len(table._parsed) <= 10


# ------------------------------------------------------------------------------------------------------- masks

KEY = bytes(range(16))
HA1_MD5, HA1_SHA256 = "0123456789abcdef" * 2, "0123456789abcdef" * 4


def masked(key: str, **changes: str) -> wire.ConnectionDoc:
    """A connection's document as the edge agent writes it under ``key``."""
    secrets = {"ha1_md5": HA1_MD5, "ha1_sha256": HA1_SHA256, "ha1_inbound": HA1_MD5}
    masks = {name: wire.mask(value, KEY, f"{key}/{name}") for name, value in secrets.items()}
    return connection(**(masks | changes))


def test_masked_ha1s_are_read_in_clear() -> None:
    text = masked("c1").encode()
    assert HA1_MD5 not in text
    document = documents.read(wire.ConnectionDoc, "c1", text, KEY)
    assert document is not None
    assert (document.ha1_md5, document.ha1_sha256, document.ha1_inbound) == (HA1_MD5, HA1_SHA256, HA1_MD5)


def test_the_mask_of_one_document_does_not_fit_another() -> None:
    document = documents.read(wire.ConnectionDoc, "c2", masked("c1").encode(), KEY)
    assert document is not None
    assert HA1_MD5 not in (document.ha1_md5, document.ha1_inbound)


def test_a_devices_mask_is_taken_off(edge: Edge, table: Table[wire.DeviceDoc]) -> None:
    ha1 = wire.mask(HA1_MD5, edge.node.key, "alice/ha1")
    edge.put("device", "alice", wire.DeviceDoc(ALICE_AOR, ha1))
    document = table.get("alice")
    assert document is not None
    assert document.ha1 == HA1_MD5


def test_an_ha1_that_is_not_known_yet_stays_empty() -> None:
    text = connection(ha1_md5="", ha1_sha256="").encode()
    document = documents.read(wire.ConnectionDoc, "c1", text, KEY)
    assert document is not None
    assert (document.ha1_md5, document.ha1_sha256, document.ha1_inbound) == ("", "", "")


@pytest.mark.parametrize("name", ["ha1_md5", "ha1_sha256", "ha1_inbound"])
@pytest.mark.parametrize("value", ["~0", "~xy", "xy", "0", "0123456789abcdeg" * 2, "é"])
def test_an_ha1_that_is_none_makes_the_document_unreadable_and_is_not_shown(
    edge: Edge, name: str, value: str
) -> None:
    assert documents.read(wire.ConnectionDoc, "c1", masked("c1", **{name: value}).encode(), KEY) is None
    assert "c1" in edge.kamailio.errors[0]
    assert wire.mask(HA1_MD5, KEY, "c1/ha1_md5") not in edge.kamailio.errors[0]
