"""From documents to a real Kamailio's hash tables, through projection.db, whatever dies in between."""

from __future__ import annotations

import asyncio
import signal
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from control.domain.push import PushToken
from control.domain.targets import Hop, Located, Route
from control.edge.db_thread import DbThread
from control.edge.errors import HostNotFoundError, LedgerUnavailableError
from control.edge.locator import Found
from control.edge.projection_db import PROJECTED, ProjectionDb
from control.edge.projector import Changes, Projector, Where
from control.edge.rpc import KamailioRpc
from control.services.projection import Page
from kemi.wire import ConnectionDoc, DeviceDoc, LineDevice, LineDoc
from tests.integration.edge.kamailio import SmallKamailio
from tests.integration.edge.waiting import until

ALICE, BOB = "alice-k7f3qd", "bob-x2m8pa"
AOR = "sip:alice@nightbell.test"
DEVICE = DeviceDoc(AOR, "0" * 32, "c1").encode()
LINE = LineDoc([LineDevice(ALICE, push=True)]).encode()
PBX = Route("pbx.nightbell.test", 5060, "udp")


def connection(address: str, realm: str = "") -> str:
    return ConnectionDoc(
        [AOR], PBX.host, "1002", "1002", f"sip:{address}:5060;transport=udp", [address], realm
    ).encode()


class Book:
    """A database in memory: documents, and an outbox that counts."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, str]] = {table: {} for table in PROJECTED}
        self.head = 0
        self.away = False
        self.wanted_routes: set[Route] = set()
        self.placed: list[tuple[set[Route], set[Route]]] = []
        self.where: dict[Route, Located] = {}
        self.pages: dict[str, int] = {}
        self._changes: list[tuple[int, str, str]] = []
        self._retries: list[tuple[int, str]] = []

    def put(self, table: str, key: str, value: str | None) -> None:
        self.head += 1
        self._changes.append((self.head, table, key))
        if value is None:
            del self.tables[table][key]
        else:
            self.tables[table][key] = value

    def retry(self, connection: str) -> None:
        self.head += 1
        self._retries.append((self.head, connection))

    def routes(self) -> set[Route]:
        return self.wanted_routes

    def latest(self) -> int:
        if self.away:
            raise LedgerUnavailableError("away")
        return self.head

    def tokens(self) -> dict[str, list[PushToken]]:
        return {}

    def page(self, where: Where, table: str, after: str, route: Route | None = None) -> Page:
        self.where = dict(where)
        self.pages[table] = self.pages.get(table, 0) + 1
        keys = sorted(key for key in self.tables[table] if key > after)[:2]
        return Page({key: self.tables[table][key] for key in keys}, keys[-1] if len(keys) == 2 else "")

    def whole(self, where: Where) -> dict[str, dict[str, str]]:
        return {table: dict(self.tables[table]) for table in ("trunk", "number")}

    def since(self, head: int, where: Where) -> Changes | None:
        self.where = dict(where)
        if head == self.head:
            return None
        changed: dict[str, dict[str, str | None]] = {}
        for number, table, key in self._changes:
            if number > head:
                changed.setdefault(table, {})[key] = self.tables[table].get(key)
        told_whole = self.whole(where) if changed.pop("trunk", None) or changed.pop("number", None) else {}
        retries = {connection for number, connection in self._retries if number > head}
        return Changes(self.head, changed, {}, told_whole, retries=retries)

    def upstream(self, after: str) -> dict[str, str]:
        return {} if after else {"c1": "of-the-database", "c2": "of-the-database"}

    def mailboxes(self) -> dict[str, str]:
        return {"c1": "no 0/0", "c2": "yes 2/8"}

    def place(self, nowhere: Iterable[Route], at: float) -> None:
        self.placed.append((set(nowhere), set(self.wanted_routes)))


class Source:
    """A Book as a Source: the head of its outbox is a method there."""

    def __init__(self, book: Book) -> None:
        self.head = book.latest
        self.routes, self.tokens, self.page = book.routes, book.tokens, book.page
        self.whole, self.since, self.place = book.whole, book.since, book.place
        self.upstream, self.mailboxes = book.upstream, book.mailboxes


@asynccontextmanager
async def projecting(
    book: Book, rpc_path: Path, projection: Path, lookup: Callable[[], list[str]] = list
) -> AsyncIterator[Projector]:
    async def look(route: Route) -> Found:
        addresses = lookup()
        if not addresses:
            raise HostNotFoundError("no such host")
        hops = tuple(Hop(address, 5060, "udp") for address in addresses)
        return Found(Located(hops, tuple(addresses)), 300.0)

    def no_tokens(tokens: Mapping[str, Sequence[PushToken]], complete: bool) -> None:
        assert not tokens

    file, thread = ProjectionDb(projection), DbThread()
    rpc = KamailioRpc(rpc_path, on_connect=lambda: projector.mend())  # noqa: PLW0108  comes below
    projector = Projector(
        source=Source(book),
        file=file,
        rpc=rpc,
        thread=thread,
        on_tokens=no_tokens,
        on_wake_wanted=lambda: None,
        locate=look,
    )
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


async def test_a_connection_that_is_to_be_tried_is_named_when_kamailio_is_there_again(
    kamailio: SmallKamailio, projection: Path
) -> None:
    book = Book()
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        kamailio.stop()
        book.retry("c1")
        projector.nudge()
        await until(lambda: projector.counters["failed"] > 0)
        await kamailio.start()
        projector.mend()
        await until(lambda: kamailio.holds("changes", {"retry c1": "1"}))
        assert projector._retries == set()


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
        # Kamailio holds what it was told a moment before the agent has its answer.
        await until(lambda: projector.counters["told"] >= 4)
        assert projector.counters["told"] == 4


async def test_r6_the_registrar_learns_of_changed_and_removed_connections(
    kamailio: SmallKamailio, projection: Path
) -> None:
    book = Book()
    book.put("connection", "c1", connection("192.0.2.1"))
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        assert await kamailio.table("changes", "c1") == {"c1": "1"}
        book.put("connection", "c1", None)
        book.put("connection", "c2", connection("192.0.2.2", "asterisk"))
        projector.nudge()
        await until(lambda: kamailio.holds("changes", {"c2": "1"}))
        assert await kamailio.table("connection", "c1") == {}


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
    book = Book()
    book.wanted_routes = {PBX}
    for addresses in (["192.0.2.1"], []):
        async with projecting(book, tmp_path / "nobody.rpc", projection, addresses.copy) as projector:
            await asyncio.wait_for(projector.ready.wait(), 5)
            assert [hop.address for hop in book.where[PBX].hops] == ["192.0.2.1"]
            assert book.placed[-1] == (set(), {PBX})


async def test_a_pbx_that_cannot_be_found_is_said_to_be_nowhere(tmp_path: Path, projection: Path) -> None:
    book = Book()
    book.wanted_routes = {PBX}
    async with projecting(book, tmp_path / "nobody.rpc", projection) as projector:
        await asyncio.wait_for(projector.ready.wait(), 5)
    assert book.placed[-1] == ({PBX}, {PBX})


async def test_a_mute_name_server_holds_up_no_other_change(
    kamailio: SmallKamailio, projection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.edge.resolver.NEED_S", 0.05)
    book = Book()
    never = asyncio.Event()

    async def mute(route: Route) -> Found:
        await never.wait()
        raise AssertionError

    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        monkeypatch.setattr(projector._resolver, "_locate", mute)
        book.wanted_routes = {PBX}
        book.put("connection", "c1", connection("192.0.2.1"))
        projector.nudge()
        await until(lambda: kamailio.holds("connection", {"c1": connection("192.0.2.1")}), within=1.0)


async def test_a_route_that_leads_elsewhere_moves_its_connections(
    kamailio: SmallKamailio, projection: Path
) -> None:
    book = Book()
    book.wanted_routes = {PBX}
    for number in range(5):
        book.put("connection", f"c{number}", connection("192.0.2.1"))
    async with projecting(book, kamailio.rpc_path, projection, lambda: ["192.0.2.1"]) as projector:
        await until_told(projection, projector)
        for number in range(5):
            book.tables["connection"][f"c{number}"] = connection("192.0.2.9")
        projector._moved(PBX)
        moved: dict[str, str | None] = {f"c{number}": connection("192.0.2.9") for number in range(5)}
        await until(lambda: kamailio.holds("connection", moved))
        assert projector.counters["changed"] == 10


async def test_trunks_and_numbers_are_told_as_wholes(kamailio: SmallKamailio, projection: Path) -> None:
    book = Book()
    book.put("trunk", "192.0.2.1", "c1 c2")
    book.put("number", "c1/+4930123", "{}")
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        assert await kamailio.table("trunk", "192.0.2.1") == {"192.0.2.1": "c1 c2"}
        assert await kamailio.table("number", "c1/+4930123") == {"c1/+4930123": "{}"}
        book.put("trunk", "192.0.2.1", None)
        book.put("trunk", "192.0.2.9", "c1")
        projector.nudge()
        await until(lambda: kamailio.holds("trunk", {"192.0.2.1": None, "192.0.2.9": "c1"}))


async def test_what_is_gone_from_the_database_is_gone_after_a_start(
    kamailio: SmallKamailio, projection: Path
) -> None:
    file = ProjectionDb(projection)
    file.replace_all({"device": {ALICE: DEVICE, BOB: DEVICE, "carol-1": DEVICE}})
    file.close()
    book = Book()
    book.put("device", BOB, DEVICE)
    async with projecting(book, kamailio.rpc_path, projection) as projector:
        await until_told(projection, projector)
        assert projector.counters["changed"] == 2
        assert await kamailio.table("device", ALICE, BOB, "carol-1") == {BOB: DEVICE}


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
