"""Whether a provider that hangs delays the pushes of another."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median

from control.domain.push import Outcome
from control.push.apns.provider import ApnsProvider
from control.push.dispatcher import Dispatcher
from control.push.fcm.provider import FcmProvider
from tests.bench.figures import Figure, against, percentile
from tests.bench.progress import Progress
from tests.bench.push.provider import Provider, expect, notice, paced, quiet

_PER_SECOND = 200
SECONDS = 8  # of a round: long enough for attempts to time out and for the breaker to open
_ROUNDS = 7  # the first is thrown away
_WAKES = 200  # to APNs, at the beginning of a round; while it hangs they wait all the while
_START = 3.0  # seconds for two processes to be ready in


async def measure(provider: Provider, progress: Progress, scale: float) -> list[Figure]:
    """`push.isolation_p99_ms`: of FCM, from dispatch to verdict, while APNs hangs; the peer is FCM while APNs is well.

    Two processes push at the same time, so that whatever else the machine does strikes both.
    """
    seconds = max(2, int(SECONDS * scale))
    progress.title(
        f"push: {_PER_SECOND} a second to FCM from each of two processes; APNs hangs for one of them"
    )
    pairs: list[tuple[float, float]] = []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for number in range(_ROUNDS):
            begin = time.time() + _START
            both = [
                # Each is ahead of the other in every second round, by half of the time between two pushes.
                pool.submit(
                    _of_a_process, provider, hangs, begin + (number + hangs) % 2 / _PER_SECOND / 2, seconds
                )
                for hangs in (True, False)
            ]
            (hung, cost), (well, usual) = await asyncio.gather(*map(asyncio.wrap_future, both))
            found = list(zip(hung, well, strict=True))
            provider.client.clear_orders("apns")
            progress.step(
                f"round {number + 1}: p99 {median(hung):.2f} ms and {cost:.2f} s of CPU while APNs hangs, "
                f"{median(well):.2f} ms and {usual:.2f} s else"
            )
            pairs += found if number else []
    return [against("push.isolation_p99_ms", "ms", "APNs well", pairs, 1.1)]


def _of_a_process(provider: Provider, hangs: bool, begin: float, seconds: int) -> tuple[list[float], float]:
    """The p99 of each second, in ms; and what CPU all took, in seconds."""
    quiet()
    return asyncio.run(_push(provider, hangs, begin, seconds))


async def _push(provider: Provider, hangs: bool, begin: float, seconds: int) -> tuple[list[float], float]:
    iphone, android = provider.phone("apns"), provider.phone("fcm")
    dispatcher = Dispatcher([ApnsProvider(provider.apns_settings()), FcmProvider(provider.fcm_settings())])
    await dispatcher.start()
    if hangs:
        provider.client.order("apns", fault="hang", token=iphone.token)

    async def send() -> None:
        expect(await dispatcher.dispatch(android, notice(30)), Outcome.DELIVERED)

    waiting: list[asyncio.Task[object]] = []
    try:
        await asyncio.gather(*(send() for _ in range(10)))  # as many connections as such a rate needs
        await asyncio.sleep(max(0.0, begin - time.time()))
        before = time.process_time()
        waiting += [asyncio.create_task(dispatcher.dispatch(iphone, notice(100))) for _ in range(_WAKES)]
        taken = await paced(send, seconds * _PER_SECOND, _PER_SECOND)
        cpu = time.process_time() - before
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await dispatcher.close()
    seconds_p99 = [percentile(taken[n : n + _PER_SECOND], 99) for n in range(0, len(taken), _PER_SECOND)]
    return seconds_p99, cpu
