"""Database to Kamailio: follows the outbox, writes what differs to projection.db, then tells Kamailio."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from control.domain.push import PushToken
from control.edge.db_thread import DbThread
from control.edge.errors import LedgerUnavailableError, RpcError, RpcRefusedError
from control.edge.projection_db import PROJECTED, Key, ProjectionDb
from control.edge.resolver import Lookup, Resolver, system_lookup
from control.edge.rpc import Calls
from kemi.wire import TABLE_CONNECTION, ConnectionDoc

log = structlog.get_logger(__name__)

POLL_S = 0.2
RETRY_S = 1.0

TABLE_CHANGES = "changes"  # connection id -> anything: Kamailio's registrar takes the connection anew
_TELL_AT_ONCE = 500
Addresses = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Changes:
    """What the database says: documents (None: gone) and push tokens by device id (empty: none).

    ``complete`` says that there is nothing else; ``head`` is the last row of the outbox that this covers.
    """

    head: int
    documents: Mapping[str, Mapping[str, str | None]]
    tokens: Mapping[str, Sequence[PushToken]] = field(repr=False)
    complete: bool


class Source(Protocol):
    """The database as the projector reads it, in a thread. Raises LedgerUnavailableError."""

    def hosts(self) -> set[str]:
        """Names of PBX hosts to be resolved."""

    def everything(self, addresses: Addresses) -> Changes:
        """All documents and tokens."""

    def since(self, head: int, addresses: Addresses) -> Changes | None:
        """What changed after a row of the outbox; None if nothing did."""

    def upstream(self) -> dict[str, str]:
        """The registrar's durable state by connection id, as last recorded."""


class Projector:
    """Keeps Kamailio's tables ``device``, ``line`` and ``connection`` as the database wants them.

    ``on_tokens`` is handed tokens read from the database, and whether they are all. ``connections`` are the
    documents as last read; ``ready`` is set once everything was read and written. ``counters`` counts
    ``changed``, ``told``, ``refused``, ``mended`` and ``failed``.
    """

    def __init__(
        self,
        *,
        source: Source,
        file: ProjectionDb,
        rpc: Calls,
        thread: DbThread,
        on_tokens: Callable[[Mapping[str, Sequence[PushToken]], bool], None],
        lookup: Lookup = system_lookup,
    ) -> None:
        self._source = source
        self._file = file
        self._rpc = rpc
        self._thread = thread
        self._on_tokens = on_tokens
        self._resolver = Resolver(self.rebuild, lookup, file.addresses())
        self._head = 0
        self._stale = True  # everything is to be read
        self._untold = True  # projection.db may hold what Kamailio was not told
        self._unverified = True
        self._nudged = asyncio.Event()
        self.ready = asyncio.Event()
        self.connections: dict[str, ConnectionDoc] = {}
        self.counters: Counter[str] = Counter()

    def nudge(self) -> None:
        """Something was changed just now: do not wait for the next look at the outbox."""
        self._nudged.set()

    def rebuild(self) -> None:
        """Read everything anew."""
        self._stale = True
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
            await self._read()
            await self._tell()
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

    async def _read(self) -> None:
        changes = await self._changes()
        if changes is None:
            return
        self._on_tokens(changes.tokens, changes.complete)
        if changes.complete:
            whole = {t: {k: v for k, v in d.items() if v is not None} for t, d in changes.documents.items()}
            count = await self._thread.run(self._file.replace_all, whole)
            await self._thread.run(self._restore_upstream)
            await self._thread.run(self._file.keep_addresses, self._resolver.addresses)
        else:
            count = await self._thread.run(self._file.apply, changes.documents)
        self._head = changes.head
        self._untold = self._untold or count > 0
        self.counters["changed"] += count
        self._keep_connections(changes)
        self.ready.set()

    async def _changes(self) -> Changes | None:
        if self._stale:
            self._stale = False  # whoever asks for a rebuild while this is read gets another round
            try:
                await self._resolver.need(await self._thread.run(self._source.hosts))
                return await self._thread.run(self._source.everything, self._resolver.addresses)
            except BaseException:
                self._stale = True
                raise
        changes = await self._thread.run(self._source.since, self._head, self._resolver.addresses)
        if changes is not None and changes.documents.get(TABLE_CONNECTION):
            hosts = await self._thread.run(self._source.hosts)
            if not hosts <= self._resolver.addresses.keys():
                await self._resolver.need(hosts)
                changes = await self._thread.run(self._source.since, self._head, self._resolver.addresses)
        return changes

    def _restore_upstream(self) -> None:
        """A lost projection.db gets the registrar's state back from the database, so that nothing restarts."""
        self._file.keep_upstream(self._source.upstream(), only_missing=True)

    def _keep_connections(self, changes: Changes) -> None:
        if changes.complete:
            self.connections = {}
        for key, text in changes.documents.get(TABLE_CONNECTION, {}).items():
            if text is None:
                self.connections.pop(key, None)
            else:
                self.connections[key] = ConnectionDoc.decode(text)

    async def _tell(self) -> None:
        if not self._untold:
            return
        self._untold = False
        refused = 0
        try:
            unsent = list((await self._thread.run(self._file.unsent)).items())
            for start in range(0, len(unsent), _TELL_AT_ONCE):
                some = unsent[start : start + _TELL_AT_ONCE]
                results = await asyncio.gather(*(self._tell_one(key, value) for key, value in some))
                taken = [key for (key, _), ok in zip(some, results, strict=True) if ok]
                await self._thread.run(self._file.confirm, taken)
                self.counters["told"] += len(taken)
                refused += len(some) - len(taken)
        except BaseException:
            self._untold = True
            raise
        self.counters["refused"] += refused

    async def _tell_one(self, key: Key, value: str | None) -> bool:
        """Whether Kamailio took it. A refusal leaves the note: the next Kamailio may be another version."""
        table, name = key
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
