"""Documents out of shared memory: parsed once per content, never stale."""

from __future__ import annotations

import pytest

from kemi import wire
from kemi.documents import Table
from tests.fakes.edge import ALICE_AOR, Edge


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
