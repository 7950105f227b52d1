"""What is left behind by very many pushes, of which a third fail."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path

from h2.stream import H2Stream

from control.domain.push import Outcome
from control.push.apns.connection import ApnsConnection, _Exchange
from control.push.apns.provider import ApnsProvider
from control.push.apns.request import ApnsRequest
from control.push.dispatcher import Dispatcher
from tests.bench.figures import Figure
from tests.bench.progress import Progress
from tests.bench.push.provider import Provider, at_once, expect, notice

COUNT = 100_000
_AT_ONCE = 100
_GROWTH_MB = 1.0  # what pages the allocator keeps differ by that much
_KINDS = (asyncio.Task, asyncio.Future, H2Stream, _Exchange, ApnsRequest, ApnsConnection)


async def measure(provider: Provider, progress: Progress, scale: float) -> list[Figure]:
    """`push.leaked`: tasks, futures, streams, requests and connections that outlive their push; and the memory's growth."""
    count = max(3_000, int(COUNT * scale))
    progress.title(f"push: {count} pushes, every third to an app that was removed")
    phone, gone = provider.phone("apns"), provider.phone("apns")
    provider.client.uninstall(gone.token)
    dispatcher = Dispatcher([ApnsProvider(provider.apns_settings())])
    await dispatcher.start()

    async def send(number: int) -> None:
        token, outcome = (gone, Outcome.TOKEN_DEAD) if number % 3 == 2 else (phone, Outcome.DELIVERED)
        expect(await dispatcher.dispatch(token, notice(60)), outcome)

    try:
        warm_up = count // 5  # by then pools, tables and the allocator have their size
        await at_once(send, warm_up, _AT_ONCE)
        before, memory = _alive(), _resident_mb()
        progress.step(f"{warm_up} pushes: {memory:.1f} MB")
        await at_once(send, count - warm_up, _AT_ONCE)
        left = _alive() - before
        growth = _resident_mb() - memory
    finally:
        await dispatcher.close()
    said = ", ".join(f"{number} {kind}" for kind, number in left.items()) or "nothing"
    progress.result(f"left behind: {said}; {growth:+.1f} MB")
    return [
        Figure("push.leaked", sum(left.values()), "objects", goal=0),
        Figure("push.memory_growth_mb", round(max(0.0, growth), 1), "MB", goal=_GROWTH_MB),
    ]


def _alive() -> Counter[str]:
    gc.collect()
    found = (each for each in gc.get_objects() if isinstance(each, _KINDS))
    # h2 forgets a closed stream when it opens the next one.
    return Counter(type(each).__name__ for each in found if not (isinstance(each, H2Stream) and each.closed))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / 1e6
