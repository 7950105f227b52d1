"""Database to Kamailio: follows the outbox, writes what differs to projection.db, then tells Kamailio."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from control.domain.push import PushToken
from control.domain.targets import Located, Route
from control.edge.db_thread import DbThread
from control.edge.errors import LedgerUnavailableError, RpcError, RpcRefusedError
from control.edge.projection_db import PROJECTED, ProjectionDb, Unsent
from control.edge.resolver import Locate, Resolver
from control.edge.rpc import Calls
from kemi.wire import RETRY, TABLE_CHANGES, TABLE_CONNECTION, TABLE_DEVICE, TABLE_LINE

log = structlog.get_logger(__name__)

POLL_S = 0.2
RETRY_S = 1.0

# Read page by page: 100,000 connections are never in this process's memory at once.
_PAGED = (TABLE_DEVICE, TABLE_LINE, TABLE_CONNECTION)
_TELL_AT_ONCE = 500

Where = Mapping[Route, Located]


@dataclass(frozen=True)
class Changes:
    """What changed up to row ``head`` of the outbox: documents (None: gone), and push tokens by device id (empty: none).

    ``whole`` are tables that are told as wholes; ``wake_wanted``: a device is to be called for a test; ``retries`` are
    connections that somebody wants tried at once.
    """

    head: int
    documents: Mapping[str, Mapping[str, str | None]]
    tokens: Mapping[str, Sequence[PushToken]] = field(repr=False)
    whole: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    wake_wanted: bool = False
    retries: Set[str] = frozenset()


class Page(Protocol):
    """Some documents of a table; ``last`` is what the next page comes after, empty: there is none."""

    @property
    def documents(self) -> Mapping[str, str]:
        """By key."""

    @property
    def last(self) -> str:
        """Where to go on."""


class Source(Protocol):
    """The database as the projector reads it, in a thread. Raises LedgerUnavailableError."""

    def head(self) -> int:
        """The last row of the outbox."""

    def routes(self) -> set[Route]:
        """Where the connections lead, to be looked up."""

    def tokens(self) -> Mapping[str, Sequence[PushToken]]:
        """All push tokens by device id."""

    def page(self, where: Where, table: str, after: str, route: Route | None = None) -> Page:
        """Documents of a table after a row; with a route, those of its connections alone."""

    def whole(self, where: Where) -> Mapping[str, Mapping[str, str]]:
        """The tables that are told as wholes."""

    def since(self, head: int, where: Where) -> Changes | None:
        """What changed after a row of the outbox; None if nothing did."""

    def upstream(self, after: str) -> Mapping[str, str]:
        """Some of the registrar's durable state by connection id after one, as last recorded; empty: that was all."""

    def mailboxes(self) -> Mapping[str, str]:
        """What was last said of the connections' mailboxes, by connection id, as Kamailio notes it."""

    def place(self, nowhere: Iterable[Route], at: float) -> None:
        """Connections along these routes, and no others, have a PBX that cannot be found."""


class Projector:
    """Keeps Kamailio's tables as the database wants them.

    ``on_tokens`` is handed tokens read from the database, and whether they are all; ``on_wake_wanted`` is told that a device
    is to be called for a test; ``ready`` is set once everything was
    read and written. ``counters`` counts ``changed``, ``told``, ``refused``, ``mended`` and ``failed``.
    """

    def __init__(
        self,
        *,
        source: Source,
        file: ProjectionDb,
        rpc: Calls,
        thread: DbThread,
        on_tokens: Callable[[Mapping[str, Sequence[PushToken]], bool], None],
        on_wake_wanted: Callable[[], None],
        locate: Locate,
    ) -> None:
        self._source = source
        self._file = file
        self._rpc = rpc
        self._thread = thread
        self._on_tokens = on_tokens
        self._on_wake_wanted = on_wake_wanted
        self._resolver = Resolver(locate, self._moved, file.located())
        self._relocated: set[Route] = set()
        self._kept = dict(self._resolver.located)
        self._head = 0
        self._stale = True  # everything is to be read
        self._retries: set[str] = set()
        self._untold = True  # projection.db may hold what Kamailio was not told
        self._unverified = True
        self._nudged = asyncio.Event()
        self.ready = asyncio.Event()
        self.counters: Counter[str] = Counter()

    def nudge(self) -> None:
        """Something was changed just now: do not wait for the next look at the outbox."""
        self._nudged.set()

    def _moved(self, route: Route) -> None:
        self._relocated.add(route)
        self._nudged.set()

    def mend(self) -> None:
        """Kamailio is there (again): tell it what it was not told, and see that it has everything."""
        self._untold = self._unverified = True
        self._nudged.set()

    async def run(self) -> None:
        """Follow the outbox for ever."""
        refresh = asyncio.create_task(self._resolver.run(), name="resolver")
        try:
            while True:
                self._nudged.clear()
                pause = POLL_S if await self._round() else RETRY_S
                try:
                    async with asyncio.timeout(pause):
                        await self._nudged.wait()
                except TimeoutError:
                    continue
        finally:
            refresh.cancel()

    async def _round(self) -> bool:
        """One look at the outbox and what follows from it; False if something was in the way."""
        try:
            await (self._read_everything() if self._stale else self._read())
            await self._relocate()
            await self._tell()
            await self._retry()
            await self._verify()
        except (LedgerUnavailableError, sqlite3.Error) as error:
            self._failed("database", error)
        except RpcError as error:
            self._failed("kamailio", error)
        except Exception as error:  # the outermost loop: a document that cannot be built must not end it
            self._failed("projection", error)
            log.exception("projection-failed")
        else:
            return True
        return False

    def _failed(self, what: str, error: Exception) -> None:
        self.counters["failed"] += 1
        if self.counters["failed"].bit_count() == 1:
            log.warning("projection-waits", of=what, error=str(error), failed=self.counters["failed"])

    # ------------------------------------------------------------------------------------------ steps

    async def _read_everything(self) -> None:
        run, where = self._thread.run, self._resolver.located
        head = await run(self._source.head)  # what changes while this is read is read again afterwards
        await self._resolver.need(await run(self._source.routes))
        self._on_tokens(await run(self._source.tokens), True)
        await run(self._file.begin_replacing)
        count = 0
        for table in _PAGED:
            after = ""
            while True:
                page = await run(self._source.page, where, table, after)
                count += await run(self._file.put_page, table, page.documents)
                if not page.last:
                    break
                after = page.last
        for table, documents in (await run(self._source.whole, where)).items():
            count += await run(self._file.put_page, table, documents)
        count += await run(self._file.finish_replacing, PROJECTED)
        await self._restore_upstream()
        await self._place()
        self._head, self._stale = head, False
        self._changed(count)
        self.ready.set()

    async def _read(self) -> None:
        run, where = self._thread.run, self._resolver.located
        changes = await run(self._source.since, self._head, where)
        if changes is None:
            return
        if changes.documents.get(TABLE_CONNECTION):
            if await self._resolver.need(await run(self._source.routes)):
                changes = await run(self._source.since, self._head, where) or changes
            await self._place()
        self._on_tokens(changes.tokens, False)
        if changes.wake_wanted:
            self._on_wake_wanted()
        count = await run(self._file.apply, changes.documents)
        if changes.whole:
            count += await run(self._file.replace_all, changes.whole)
        self._retries |= changes.retries
        self._head = changes.head
        self._changed(count)

    async def _relocate(self) -> None:
        """Write the documents of connections whose route leads elsewhere now."""
        run, where = self._thread.run, self._resolver.located
        if not self._relocated:
            return
        moved, self._relocated = self._relocated, set()
        count = 0
        try:
            for route in moved:
                after = ""
                while True:
                    page = await run(self._source.page, where, TABLE_CONNECTION, after, route)
                    count += await run(self._file.apply, {TABLE_CONNECTION: page.documents})
                    if not page.last:
                        break
                    after = page.last
            count += await run(self._file.replace_all, await run(self._source.whole, where))
            await self._place()
        except BaseException:
            self._relocated |= moved
            raise
        finally:
            self._changed(count)

    async def _place(self) -> None:
        """Say which connections lead nowhere, and keep where the others lead for the next incarnation."""
        await self._thread.run(self._source.place, self._resolver.missing, time.time())
        located = dict(self._resolver.located)
        if located != self._kept:
            await self._thread.run(self._file.keep_located, located)
            self._kept = located

    def _changed(self, count: int) -> None:
        self._untold = self._untold or count > 0
        self.counters["changed"] += count

    async def _restore_upstream(self) -> None:
        """A lost projection.db gets back from the database what Kamailio alone knows, so that nothing restarts."""
        after = ""
        while some := await self._thread.run(self._source.upstream, after):
            await self._thread.run(self._keep_upstream, some)
            after = max(some)
        await self._thread.run(self._keep_summaries, await self._thread.run(self._source.mailboxes))

    def _keep_summaries(self, notes: Mapping[str, str]) -> None:
        self._file.keep_summaries(notes, only_missing=True)

    def _keep_upstream(self, some: Mapping[str, str]) -> None:
        self._file.keep_upstream(some, only_missing=True)

    async def _tell(self) -> None:
        if not self._untold:
            return
        self._untold = False
        refused, seen = 0, 0
        try:
            while some := await self._thread.run(self._file.unsent, seen, _TELL_AT_ONCE):
                results = await asyncio.gather(*(self._tell_one(note) for note in some))
                taken = [note for note, ok in zip(some, results, strict=True) if ok]
                await self._thread.run(self._file.confirm, taken)
                self.counters["told"] += len(taken)
                refused += len(some) - len(taken)
                seen = some[-1].number
        except BaseException:
            self._untold = True
            raise
        self.counters["refused"] += refused

    async def _tell_one(self, note: Unsent) -> bool:
        """Whether Kamailio took it. A refusal leaves the note: the next Kamailio may be another version."""
        _, table, name, value = note
        try:
            if value is None:
                await self._rpc.call("htable.delete", table, name)
            else:
                await self._rpc.call("htable.sets", table, name, value)
            await self._alert(table, name)
        except RpcRefusedError as error:
            if value is None and error.code == 404:
                await self._alert(table, name)
                return True
            log.error("projection-refused", table=table, key=name, error=str(error))
            return False
        return True

    async def _alert(self, table: str, name: str) -> None:
        """A registration follows its connection: the registrar looks for changes in a table of its own."""
        if table == TABLE_CONNECTION:
            await self._rpc.call("htable.sets", TABLE_CHANGES, name, "1")

    async def _retry(self) -> None:
        for connection in sorted(self._retries):
            await self._rpc.call("htable.sets", TABLE_CHANGES, RETRY + connection, "1")
            self._retries.discard(connection)

    async def _verify(self) -> None:
        """Compare the sizes of the tables; tell a table anew that differs, empty it first if it is too big."""
        if not self._unverified:
            return
        stats = await self._rpc.call("htable.stats")
        sizes = {str(row["name"]): int(row["all"]) for row in stats}
        self._unverified = False
        for table in PROJECTED:
            wanted, held = await self._thread.run(self._file.count, table), sizes.get(table)
            if held is None or held == wanted:
                continue
            log.warning("projection-differs", table=table, wanted=wanted, held=held)
            self.counters["mended"] += 1
            self._untold = True
            await self._thread.run(self._file.tell_again, table)
            if held > wanted:
                # What should be gone might still let somebody in.
                await self._rpc.call("htable.flush", table)
        await self._tell()
