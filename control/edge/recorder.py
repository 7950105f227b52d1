"""What is to be remembered: collected in memory on the event loop, written in batches by the DB thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from control.domain.journal import Step
from control.domain.push import PushToken, PushTrouble
from control.domain.quality import Quality
from control.domain.reminder import Reminder
from control.domain.wakes import DeviceWake
from control.edge.db_thread import DbThread
from control.edge.errors import LedgerUnavailableError
from control.edge.projection_db import ProjectionDb
from kemi.wire import Refresh, RefreshEvent, RegisterEvent, UpstreamEvent, VoicemailEvent, mailbox_note

log = structlog.get_logger(__name__)

GATHER_S = 0.05  # a batch is at most this old when it is written, if the database keeps up
RETRY_S = 0.5
BATCH = 2_000
BACKLOG = 200_000  # entries; beyond, the oldest are given up, counted and logged


@dataclass(frozen=True)
class TokensBrought:
    """A device registered with these tokens at ``at`` (UNIX seconds). ``change``: see TokenBook."""

    device: str
    tokens: tuple[PushToken, ...] = field(repr=False)
    at: float
    change: int


@dataclass(frozen=True)
class TokenDied:
    """A provider said that a token is dead, since ``known_at`` (UNIX seconds) if it said when."""

    device: str
    token: PushToken
    change: int
    known_at: float | None


@dataclass(frozen=True)
class TokenQuarantined:
    """A provider knew a token nowhere at ``at`` (UNIX seconds)."""

    device: str
    token: PushToken
    change: int
    at: float


@dataclass(frozen=True)
class TokenCorrected:
    """A provider has taken a token in ``environment``."""

    device: str
    token: PushToken
    change: int
    environment: str


@dataclass(frozen=True)
class UpstreamSeen:
    """The state of a connection at its PBX; ``learn``: its realm may not be known here yet."""

    event: UpstreamEvent
    learn: bool


@dataclass(frozen=True)
class MediaMeasured:
    """The audio of a call that ended at ``at`` (UNIX seconds)."""

    call: str
    at: float
    quality: Quality


@dataclass(frozen=True)
class RelaySeen:
    """A media relay answers, or does not any more; ``why`` then says what happened. ``at`` is UNIX seconds."""

    name: str
    at: float
    up: bool
    why: str


@dataclass(frozen=True)
class ReminderWanted:
    """A device is to be reminded of its binding."""

    reminder: Reminder


@dataclass(frozen=True)
class ReminderOver:
    """A device needs no reminder any more."""

    device: str


@dataclass(frozen=True)
class WakeTestOver:
    """The call of a test (its id) ended at ``at`` (UNIX seconds)."""

    test: str
    at: float


@dataclass(frozen=True)
class VoicemailTold:
    """What came of telling a device that sleeps of new voice messages, for its register log.

    ``done`` is "voicemail-pushed", "voicemail-refused" or "voicemail-withheld"; ``code`` the provider's answer, 0 for none;
    ``reason`` is in words. ``at`` is UNIX seconds.
    """

    device: str
    at: float
    done: str
    code: int = 0
    reason: str = ""


TokenChange = TokensBrought | TokenDied | TokenQuarantined | TokenCorrected
Entry = (
    Step
    | DeviceWake
    | MediaMeasured
    | RelaySeen
    | PushTrouble
    | RegisterEvent
    | TokenChange
    | ReminderWanted
    | ReminderOver
    | UpstreamSeen
    | RefreshEvent
    | VoicemailEvent
    | VoicemailTold
    | WakeTestOver
)


class Ledger(Protocol):
    """The database as the recorder writes it, in a thread."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Write all entries in one transaction; one that cannot be kept is passed over, logged and counted.

        Writing the same entries again changes nothing but the register log. Raises LedgerUnavailableError.
        """


class Recorder:
    """Takes entries at any speed, never blocks and never raises; survives a database that is away.

    ``saved`` is told (device, change) of each token change that was written, ``learned`` that a realm may be
    new. ``counters`` counts ``written``, ``lost`` and ``failed``.
    """

    def __init__(
        self,
        ledger: Ledger,
        file: ProjectionDb,
        thread: DbThread,
        *,
        saved: Callable[[str, int], None],
        learned: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._file = file
        self._thread = thread
        self._saved = saved
        self._learned = learned
        self._entries: deque[Entry] = deque()
        self._durable: dict[str, str] = {}
        self._refreshed: dict[str, Refresh] = {}  # on top of what is kept already
        self._summaries: dict[str, str] = {}
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self.counters: Counter[str] = Counter()

    def put(self, entry: Entry) -> None:
        """Remember this. A realm to be learned is written at once: a registration waits for it."""
        if len(self._entries) >= BACKLOG:
            self._entries.popleft()
            self.counters["lost"] += 1
            if self.counters["lost"].bit_count() == 1:
                log.error("journal-lost", lost=self.counters["lost"], backlog=BACKLOG)
        self._entries.append(entry)
        if isinstance(entry, UpstreamSeen):
            if entry.event.durable:
                self._durable[entry.event.connection] = entry.event.durable
                self._refreshed.pop(entry.event.connection, None)
            if entry.learn:
                self._urgent.set()
        elif isinstance(entry, RefreshEvent):
            for refresh in entry.each():
                before = self._refreshed.get(refresh.connection)
                nonce = refresh.nonce or (before.nonce if before else "")
                self._refreshed[refresh.connection] = refresh._replace(nonce=nonce)
        elif isinstance(entry, VoicemailEvent):
            self._summaries[entry.connection] = mailbox_note(entry.waiting, entry.new, entry.old)
        self._work.set()

    async def run(self) -> None:
        """Write batches for ever."""
        while True:
            await self._work.wait()
            try:
                async with asyncio.timeout(GATHER_S):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            self._work.clear()
            self._urgent.clear()
            if not await self.flush():
                self._work.set()
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> bool:
        """Write all there is now; False if the database is away and entries are left."""
        durable, self._durable = self._durable, {}
        refreshed, self._refreshed = self._refreshed, {}
        summaries, self._summaries = self._summaries, {}
        if (durable or refreshed or summaries) and not await self._write_durable(
            durable, refreshed, summaries
        ):
            self._summaries = summaries | self._summaries
            self._durable = durable | self._durable
            self._refreshed = {c: r for c, r in refreshed.items() if c not in self._durable} | self._refreshed
        while self._entries:
            batch = [self._entries.popleft() for _ in range(min(BATCH, len(self._entries)))]
            try:
                await self._thread.run(self._ledger.write, batch)
            except LedgerUnavailableError as error:
                self._entries.extendleft(reversed(batch))
                self._failed("journal-waits", error)
                return False
            except asyncio.CancelledError:
                # Told twice is written once; not told is lost.
                self._entries.extendleft(reversed(batch))
                raise
            except Exception as error:  # the outermost loop: one bad batch must not end the journal
                self.counters["lost"] += len(batch)
                self._failed("journal-batch-lost", error)
                log.exception("journal-batch-lost", entries=len(batch))
                continue
            self.counters["written"] += len(batch)
            self._after(batch)
        return not self._durable and not self._refreshed and not self._summaries

    async def _write_durable(
        self, durable: dict[str, str], refreshed: dict[str, Refresh], summaries: dict[str, str]
    ) -> bool:
        """Kamailio's own state goes to the file beside it, whether the database is there or not."""
        try:
            await self._thread.run(self._file.keep_upstream, durable)
            await self._thread.run(self._file.keep_summaries, summaries)
            await self._thread.run(self._file.refresh_upstream, list(refreshed.values()))
        except sqlite3.Error as error:
            self._failed("upstream-waits", error)
            return False
        return True

    def _after(self, batch: list[Entry]) -> None:
        for entry in batch:
            if isinstance(entry, TokenChange):
                self._saved(entry.device, entry.change)
        if any(isinstance(entry, UpstreamSeen) and entry.learn for entry in batch):
            self._learned()

    def _failed(self, event: str, error: Exception) -> None:
        self.counters["failed"] += 1
        if self.counters["failed"].bit_count() == 1:
            log.warning(event, error=str(error), waiting=len(self._entries), failed=self.counters["failed"])
