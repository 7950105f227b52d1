"""What a connection that is kept open saves, to a provider 20 ms away."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from control.domain.push import Outcome, Purpose, PushToken
from control.push.apns.pool import ApnsPool, tls_context
from control.push.apns.provider import ApnsProvider, verdict
from control.push.apns.provider_token import ProviderToken, read_key
from control.push.apns.request import ApnsRequest, style
from control.push.dispatcher import Dispatcher
from control.push.errors import NoAnswerError
from tests.bench.edge import BenchError
from tests.bench.figures import Figure, against, percentile
from tests.bench.progress import Progress
from tests.bench.push.provider import ADDRESS, Provider, expect, notice, paced

ROUND_TRIP_MS = 20.0
SECONDS = 3  # of a round
_ROUNDS = 3
_DEVICES = 3  # of each person who is called, all pushed to at once
_RATES = {  # calls a second
    "quiet_p99": (20.0, None),  # nobody waits for another
    "per_push_p99": (200.0, 0.05),  # as many as `wake.calls_per_domain` allows
}


async def measure(provider: Provider, progress: Progress, scale: float) -> list[Figure]:
    """`push.vs_connect_*`: from dispatch to the last verdict of a call; the peer connects for each push."""
    figures = []
    async with _relay(provider) as port:
        for name, (rate, goal) in _RATES.items():
            count = max(20, int(SECONDS * rate * scale))
            progress.title(
                f"push: {count} calls at {rate:g}/s to {_DEVICES} devices each, over a round trip of {ROUND_TRIP_MS:g} ms"
            )
            pairs = []
            for number in range(_ROUNDS):
                ours = await _ours(provider, port, count, rate)
                theirs = await _connecting(provider, port, count, rate)
                pairs.append((ours, theirs))
                progress.step(
                    f"round {number + 1}: p99 {ours:.1f} ms, connecting for each push {theirs:.1f} ms"
                )
            figures.append(
                against(f"push.vs_connect_{name}", "ms", "a connection for each push", pairs, goal)
            )
    return figures


async def _ours(provider: Provider, port: int, count: int, rate: float) -> float:
    phones = _phones(provider)
    dispatcher = Dispatcher([ApnsProvider(provider.apns_settings(port))])
    await dispatcher.start()

    async def push(phone: PushToken) -> None:
        expect(await dispatcher.dispatch(phone, notice(60)), Outcome.DELIVERED)

    try:
        await push(phones[0])  # the first push of a connection opens its streams
        return await _p99(push, phones, count, rate)
    finally:
        await dispatcher.close()


async def _connecting(provider: Provider, port: int, count: int, rate: float) -> float:
    phones, key = _phones(provider), provider.key
    how = style(phones[0].kind, Purpose.CALL)
    assert how is not None
    token = ProviderToken(read_key(key.key_file), key.key_id, key.team_id, time.time)
    tls = tls_context(str(provider.ca_file))

    async def push(phone: PushToken) -> None:
        while True:
            with suppress(
                NoAnswerError
            ):  # given up for its slowness: tried again, so that it does not look faster than it is
                connection = await ApnsPool(ADDRESS, port, tls).create_connection()
                request = ApnsRequest(phone, notice(60), how)
                request.authorization = token.get_header()
                try:
                    answer = await connection.send_notification(request)
                finally:
                    connection.close()
                return expect(verdict(answer, 0.0), Outcome.DELIVERED)

    return await _p99(push, phones, count, rate)


def _phones(provider: Provider) -> list[PushToken]:
    return [provider.phone("apns") for _ in range(_DEVICES)]


async def _p99(
    push: Callable[[PushToken], Awaitable[None]], phones: list[PushToken], count: int, rate: float
) -> float:
    async def call() -> None:
        await asyncio.gather(*map(push, phones))

    return percentile(await paced(call, count, rate), 99)


@asynccontextmanager
async def _relay(provider: Provider) -> AsyncIterator[int]:
    """A process that holds back each byte for half the round trip, each way; its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.push.relay"),
        *(ADDRESS, str(provider.facts["apns"]["port"]), str(ROUND_TRIP_MS / 2)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 10)
        if not line:
            raise BenchError("the delaying relay did not start")
        yield int(line)
    finally:
        process.terminate()
        await process.wait()
