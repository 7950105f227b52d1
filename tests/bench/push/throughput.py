"""How many pushes one core sends, beside aioapns as it is, to the same server."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsTLSClientProtocol

from control.domain.push import Outcome
from control.push.apns.pool import tls_context
from control.push.apns.provider import ApnsProvider
from control.push.dispatcher import Dispatcher
from tests.bench.edge import BenchError
from tests.bench.figures import Figure, against
from tests.bench.progress import Progress
from tests.bench.push.provider import ADDRESS, TOPIC, Provider, at_once, expect, notice

COUNT = 2_000
_AT_ONCE = 50
_ROUNDS = 6  # the first is thrown away


async def measure(provider: Provider, progress: Progress, scale: float) -> list[Figure]:
    """`push.per_second`: pushes for each second of this process's CPU, dispatcher included."""
    count = max(200, int(COUNT * scale))
    progress.title(f"push: {count} pushes, {_AT_ONCE} at once, {_ROUNDS} times, ours and aioapns' in turn")
    phone = provider.phone("apns")
    dispatcher = Dispatcher([ApnsProvider(provider.apns_settings())])
    await dispatcher.start()
    peer = _peer(provider)

    async def ours(_: int) -> None:
        expect(await dispatcher.dispatch(phone, notice(30)), Outcome.DELIVERED)

    async def theirs(_: int) -> None:
        body = {"nightbell": {"type": "call", "call": "k7f3qd2m", "wake": "z9hG4bK-w1"}}
        request = NotificationRequest(phone.token, body, time_to_live=30, push_type=PushType.VOIP)
        if not (answer := await peer.send_notification(request)).is_successful:
            raise BenchError(f"aioapns' push was answered {answer.status} {answer.description}")

    try:
        pairs = []
        for number in range(_ROUNDS):
            pairs.append((await _per_second(ours, count), await _per_second(theirs, count)))
            progress.step(f"round {number + 1}: {pairs[-1][0]:.0f} a second, aioapns {pairs[-1][1]:.0f}")
    finally:
        peer.pool.close()
        await dispatcher.close()
    return [against("push.per_second", "pushes per core", "aioapns alone", pairs[1:], 1.0, more=True)]


async def _per_second(send: Callable[[int], Awaitable[object]], count: int) -> float:
    before = time.process_time()
    await at_once(send, count, _AT_ONCE)
    return count / (time.process_time() - before)


def _peer(provider: Provider) -> APNs:
    class ToTheSandbox(APNsTLSClientProtocol):
        APNS_SERVER = ADDRESS
        APNS_PORT = provider.facts["apns"]["port"]

    key = provider.key
    client = APNs(
        key=key.key_file.read_text("ascii"),
        key_id=key.key_id,
        team_id=key.team_id,
        topic=TOPIC,
        ssl_context=tls_context(str(provider.ca_file)),
    )
    client.pool.protocol_class = ToTheSandbox
    return client
