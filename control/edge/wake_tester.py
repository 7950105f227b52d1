"""Carries out the test calls that people have asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from control.edge.errors import LedgerUnavailableError
from control.edge.recorder import WakeTestOver

log = structlog.get_logger(__name__)

AT_ONCE = 20  # a person who tests all devices does not take the place of calls
RETRY_S = 0.5


class Wanted(Protocol):
    """A test that nobody has carried out yet."""

    @property
    def id(self) -> str:
        """Its own."""

    @property
    def device(self) -> str:
        """Whom to call."""


class WakeTester:
    """``take`` takes in hand what is wanted, and raises LedgerUnavailableError; ``call`` returns when the call is over.

    ``remember`` is told of each end; ``now`` is UNIX time in seconds. ``counters`` counts ``tests``.
    """

    def __init__(
        self,
        *,
        take: Callable[[], Awaitable[Sequence[Wanted]]],
        call: Callable[[str, str], Awaitable[int]],
        remember: Callable[[WakeTestOver], None],
        now: Callable[[], float],
    ) -> None:
        self._take = take
        self._call = call
        self._remember = remember
        self._now = now
        self._wanted = asyncio.Event()
        self._wanted.set()  # by somebody while no agent ran
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    def look(self) -> None:
        """A test is wanted."""
        self._wanted.set()

    async def run(self) -> None:
        """Carry out tests for ever."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                try:
                    taken = await self._take()
                except LedgerUnavailableError:
                    self._wanted.set()
                    await asyncio.sleep(RETRY_S)
                    continue
                for test in taken:
                    task = asyncio.create_task(self._test(test), name=f"test-{test.id}")
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
        finally:
            for task in self._under_way:
                task.cancel()

    async def _test(self, test: Wanted) -> None:
        async with self._slots:
            self.counters["tests"] += 1
            try:
                await self._call(test.id, test.device)
            except OSError as error:
                log.warning("test-call-failed", device=test.device, error=str(error))
            finally:
                self._remember(WakeTestOver(test.id, self._now()))
