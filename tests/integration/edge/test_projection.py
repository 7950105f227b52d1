"""From documents to a real Kamailio's hash tables, through projection.db, whatever dies in between."""

from __future__ import annotations

import asyncio
import signal
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from control.domain.push import PushToken
from control.edge.db_thread import DbThread
from control.edge.errors import LedgerUnavailableError
from control.edge.projection_db import ProjectionDb
from control.edge.projector import Addresses, Changes, Projector
from control.edge.rpc import KamailioRpc
from kemi.wire import ConnectionDoc, DeviceDoc, LineDevice, LineDoc
from tests.integration.edge.kamailio import SmallKamailio
from tests.integration.edge.waiting import until

ALICE, BOB = "alice-k7f3qd", "bob-x2m8pa"
AOR = "sip:alice@nightbell.test"
DEVICE = DeviceDoc(AOR, "0" * 32, "c1").encode()
LINE = LineDoc([LineDevice(ALICE, push=True)]).encode()
PBX = "pbx.nightbell.test"


def connection(address: str, realm: str = "") -> str:
    return ConnectionDoc(
        [AOR], PBX, "1002", "1002", f"sip:{address}:5060;transport=udp", [address], realm
    ).encode()


class Book:
    """A database in memory: documents, and an outbox that counts."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, str]] = {"device": {}, "line": {}, "connection": {}}
        self.head = 0
        self.away = False
        self.wanted_hosts: set[str] = set()
        self.of_address: Callable[[Addresses], None] = lambda addresses: None
        self._changes: list[tuple[int, str, str]] = []

    def put(self, table: str, key: str, value: str | None) -> None:
        self.head += 1
        self._changes.append((self.head, table, key))
        if value is None:
            del self.tables[table][key]
        else:
            self.tables[table][key] = value

    def hosts(self) -> set[str]:
        return self.wanted_hosts

    def everything(self, addresses: Addresses) -> Changes:
        if self.away:
            raise LedgerUnavailableError("away")
        self.of_address(addresses)
        return Changes(self.head, {t: dict(d) for t, d in self.tables.items()}, {}, complete=True)

    def since(self, head: int, addresses: Addresses) -> Changes | None:
        if head == self.head:
            return None
        changed: dict[str, dict[str, str | None]] = {}
        for number, table, key in self._changes:
            if number > head:
                changed.setdefault(table, {})[key] = self.tables[table].get(key)
        return Changes(self.head, changed, {}, complete=False)

    def upstream(self) -> dict[str, str]:
        return {"c1": "of-the-database", "c2": "of-the-database"}


@asynccontextmanager
async def projecting(
    book: Book, rpc_path: Path, projection: Path, lookup: Callable[[str], list[str]] | None = None
) -> AsyncIterator[Projector]:
    async def look(host: str) -> list[str]:
        found = lookup(host) if lookup else []
        if not found:
            raise OSError("no such host")
        return found

    def no_tokens(tokens: Mapping[str, Sequence[PushToken]], complete: bool) -> None:
        assert not tokens

    file, thread = ProjectionDb(projection), DbThread()
    rpc = KamailioRpc(rpc_path, on_connect=lambda: projector.mend())  # noqa: PLW0108  comes below
    projector = Projector(source=book, file=file, rpc=rpc, thread=thread, on_tokens=no_tokens, lookup=look)
    rpc.start()
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rpc.close()
        thread.close()
        file.close()


async def until_told(projection: Path, projector: Projector) -> None:
    """Nothing is left to be told to Kamailio."""
    await asyncio.wait_for(projector.ready.wait(), 5)
    with closing(ProjectionDb(projection)) as file:
        await until(lambda: not (file.unsent() or projector._untold or projector._unverified))


async def test_documents_reach_a_running_kamailio(kamailio: SmallKamailio, projection: Path) -> None:
    book = Book()
    book.put("device", ALICE, DEVICE)
    book.put("line", AOR, LINE)
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        assert await kamailio.table("device", ALICE, BOB) == {ALICE: DEVICE}
        assert await kamailio.table("line", AOR) == {AOR: LINE}


async def test_a_change_and_a_removal_follow(kamailio: SmallKamailio, projection: Path) -> None:
    book = Book()
    book.put("device", ALICE, DEVICE)
    book.put("device", BOB, DEVICE)
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        book.put("device", ALICE, None)
        book.put("device", BOB, "changed")
        projector.nudge()
        await until(lambda: kamailio.holds("device", {ALICE: None, BOB: "changed"}))
        assert projector.counters["told"] == 4


async def test_r6_the_registrar_learns_of_changed_and_removed_connections(
    kamailio: SmallKamailio, projection: Path
) -> None:
    book = Book()
    book.put("connection", "c1", connection("192.0.2.1"))
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        assert await kamailio.table("changes", "c1") == {"c1": "1"}
        assert projector.connections["c1"].user == "1002"
        book.put("connection", "c1", None)
        book.put("connection", "c2", connection("192.0.2.2", "asterisk"))
        projector.nudge()
        await until(lambda: kamailio.holds("changes", {"c2": "1"}))
        assert await kamailio.table("connection", "c1") == {}
        assert list(projector.connections) == ["c2"]


async def test_kamailio_loads_by_itself_what_was_projected_while_the_agent_holds_the_file(
    kamailio: SmallKamailio, projection: Path
) -> None:
    book = Book()
    book.put("device", ALICE, DEVICE)
    file = ProjectionDb(projection)
    file.keep_upstream({"c1": "durable"})
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        kamailio.stop(signal.SIGKILL)
        await kamailio.start()
        assert await kamailio.table("device", ALICE) == {ALICE: DEVICE}
        # What the registrar itself reported wins over an older copy in the database.
        assert await kamailio.table("upstream", "c1", "c2") == {"c1": "durable", "c2": "of-the-database"}
    file.close()


async def test_what_kamailio_was_not_told_before_the_agent_died_the_next_one_tells(
    kamailio: SmallKamailio, projection: Path
) -> None:
    file = ProjectionDb(projection)
    file.replace_all({"device": {ALICE: DEVICE}})
    file.close()
    book = Book()
    book.put("device", ALICE, DEVICE)
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        assert projector.counters["changed"] == 0
        assert await kamailio.table("device", ALICE) == {ALICE: DEVICE}


async def test_r6_a_restart_that_changes_nothing_tells_nothing(
    kamailio: SmallKamailio, projection: Path
) -> None:
    book = Book()
    book.put("connection", "c1", connection("192.0.2.1"))
    for told in (1, 0):
        async with projecting(book, kamailio.rpc_path, projection) as projector:
            await until_told(projection, projector)
            assert projector.counters["told"] == told


async def test_changes_made_while_kamailio_is_down_are_told_when_it_is_back(
    kamailio: SmallKamailio, projection: Path
) -> None:
    book = Book()
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        kamailio.stop()
        book.put("device", ALICE, DEVICE)
        projector.nudge()
        await kamailio.start()
        await until_told(projection, projector)
        assert await kamailio.table("device", ALICE) == {ALICE: DEVICE}


async def test_a_table_that_lacks_or_has_too_much_is_mended(
    kamailio: SmallKamailio, projection: Path
) -> None:
    book = Book()
    book.put("device", ALICE, DEVICE)
    book.put("line", AOR, LINE)
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        other = KamailioRpc(kamailio.rpc_path)
        other.start()
        await other.call("htable.sets", "device", "mallory", "{}")
        await other.call("htable.delete", "line", AOR)
        await other.close()
        projector.mend()
        await until_told(projection, projector)
        assert await kamailio.table("device", ALICE, "mallory") == {ALICE: DEVICE}
        assert await kamailio.table("line", AOR) == {AOR: LINE}
        assert projector.counters["mended"] == 2


async def test_a_name_server_that_is_down_takes_no_pbx_away(tmp_path: Path, projection: Path) -> None:
    seen: list[dict[str, list[str]]] = []
    book = Book()
    book.wanted_hosts = {PBX}
    book.of_address = lambda addresses: seen.append({h: list(a) for h, a in addresses.items()})
    for lookup in (lambda host: ["192.0.2.1"], None):
        async with projecting(book, tmp_path / "nobody.rpc", projection, lookup) as projector:
            await asyncio.wait_for(projector.ready.wait(), 5)
    assert seen == [{PBX: ["192.0.2.1"]}] * 2


async def test_a_database_that_is_away_is_waited_for(
    tmp_path: Path, projection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.edge.projector.RETRY_S", 0.01)
    book = Book()
    book.away = True
    async with projecting(book, tmp_path / "nobody.rpc", projection) as projector:
        await until(lambda: projector.counters["failed"] >= 2)
        assert not projector.ready.is_set()
        book.away = False
        await asyncio.wait_for(projector.ready.wait(), 3)


def test_the_file_is_readable_by_its_owner_alone(projection: Path) -> None:
    assert stat.S_IMODE(projection.stat().st_mode) == 0o600
