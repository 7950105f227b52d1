"""Whether a provider that hangs delays the pushes of another."""

from __future__ import annotations

import asyncio

from control.domain.push import Outcome, PushToken
from control.push.apns.provider import ApnsProvider
from control.push.dispatcher import Dispatcher
from control.push.fcm.provider import FcmProvider
from tests.bench.figures import Figure, against, percentile
from tests.bench.progress import Progress
from tests.bench.push.provider import Provider, expect, notice, paced

_PER_SECOND = 200.0
COUNT = 600
_ROUNDS = 4  # the first is thrown away
_HUNG = 200  # wakes that wait for APNs all the while


async def measure(provider: Provider, progress: Progress, scale: float) -> list[Figure]:
    """`push.isolation_p99_ms`: of FCM, from dispatch to verdict, while APNs hangs; the peer is FCM while APNs is well."""
    count = max(100, int(COUNT * scale))
    progress.title(f"push: {count} pushes to FCM at {_PER_SECOND:g}/s, alone and while APNs hangs, in turn")
    dispatcher = Dispatcher([ApnsProvider(provider.apns_settings()), FcmProvider(provider.fcm_settings())])
    await dispatcher.start()
    iphone, android = provider.phone("apns"), provider.phone("fcm")

    async def to_fcm() -> float:
        async def send() -> None:
            expect(await dispatcher.dispatch(android, notice(30)), Outcome.DELIVERED)

        return percentile(await paced(send, count, _PER_SECOND), 99)

    pairs = []
    try:
        for number in range(_ROUNDS):
            alone = await to_fcm()
            waiting = await _hang(provider, dispatcher, iphone)
            hung = await to_fcm()
            await _end(provider, waiting)
            pairs.append((hung, alone))
            progress.step(f"round {number + 1}: p99 {hung:.2f} ms while APNs hangs, {alone:.2f} ms else")
    finally:
        await dispatcher.close()
    return [against("push.isolation_p99_ms", "ms", "APNs well", pairs[1:], 1.1)]


async def _hang(provider: Provider, dispatcher: Dispatcher, iphone: PushToken) -> list[asyncio.Task[object]]:
    """Wakes that wait for APNs until they are called off."""
    await asyncio.to_thread(provider.client.order, "apns", fault="hang")
    waiting: list[asyncio.Task[object]] = [
        asyncio.create_task(dispatcher.dispatch(iphone, notice(100))) for _ in range(_HUNG)
    ]
    await asyncio.sleep(0.5)  # all of them are sent
    return waiting


async def _end(provider: Provider, waiting: list[asyncio.Task[object]]) -> None:
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.to_thread(provider.client.clear_orders, "apns")
