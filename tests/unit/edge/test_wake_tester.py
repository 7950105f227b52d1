"""Test calls are carried out, whatever the database and the network do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from control.edge import wake_tester
from control.edge.errors import LedgerUnavailableError
from control.edge.recorder import WakeTestOver
from control.edge.wake_tester import WakeTester


@dataclass(frozen=True)
class Test:
    __test__ = False

    id: str
    device: str


class Book:
    """What is wanted, in a database that may be away."""

    def __init__(self, *wanted: Test) -> None:
        self.wanted = list(wanted)
        self.away = False
        self.called: list[str] = []
        self.ended: list[WakeTestOver] = []
        self.over = asyncio.Event()

    async def take(self) -> Sequence[Test]:
        if self.away:
            self.away = False
            raise LedgerUnavailableError("away")
        taken, self.wanted = self.wanted, []
        return taken

    async def call(self, test: str, device: str) -> int:
        self.called.append(device)
        if device == "no-network":
            raise OSError("no network")
        return 487

    def remember(self, end: WakeTestOver) -> None:
        self.ended.append(end)
        self.over.set()

    async def one_more(self) -> WakeTestOver:
        await asyncio.wait_for(self.over.wait(), 5)
        self.over.clear()
        return self.ended[-1]


@pytest.mark.parametrize("device", ["bob-1", "no-network"])
async def test_what_was_wanted_while_nobody_looked_is_carried_out_at_the_start(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_tester, "RETRY_S", 0.01)
    book = Book(Test("t1", device))
    book.away = True
    tester = WakeTester(take=book.take, call=book.call, remember=book.remember, now=lambda: 7.0)
    running = asyncio.create_task(tester.run())
    assert await book.one_more() == WakeTestOver("t1", 7.0)
    book.wanted.append(Test("t2", "bob-2"))
    tester.look()
    assert (await book.one_more()).test == "t2"
    assert book.called == [device, "bob-2"]
    assert tester.counters["tests"] == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
