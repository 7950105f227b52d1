"""What a connection that is kept open saves, to a provider 20 ms away."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from control.domain.push import Outcome, Purpose
from control.push.apns.pool import ApnsPool, tls_context
from control.push.apns.provider import ApnsProvider, verdict
from control.push.apns.provider_token import ProviderToken, read_key
from control.push.apns.request import ApnsRequest, style
from control.push.dispatcher import Dispatcher
from tests.bench.edge import BenchError
from tests.bench.figures import Figure, percentile
from tests.bench.progress import Progress
from tests.bench.push.provider import ADDRESS, Provider, expect, notice, paced

ROUND_TRIP_MS = 20.0
COUNT = 900
_PER_SECOND = 300.0


async def measure(provider: Provider, progress: Progress, scale: float) -> list[Figure]:
    """`push.vs_connect_per_push_p99`: from dispatch to verdict; the peer connects for each push."""
    count = max(100, int(COUNT * scale))
    progress.title(f"push: {count} pushes at {_PER_SECOND:g}/s over a round trip of {ROUND_TRIP_MS:g} ms")
    async with _relay(provider) as port:
        ours = await _ours(provider, port, count)
        progress.step(f"p99 {ours:.1f} ms")
        theirs = await _connecting(provider, port, count)
    return [
        Figure(
            "push.vs_connect_per_push_p99",
            round(ours, 2),
            "ms",
            "a connection for each push",
            round(theirs, 2),
            round(ours / theirs, 4),
            0.05,
        )
    ]


async def _ours(provider: Provider, port: int, count: int) -> float:
    phone = provider.phone("apns")
    dispatcher = Dispatcher([ApnsProvider(provider.apns_settings(port))])
    await dispatcher.start()

    async def send() -> None:
        expect(await dispatcher.dispatch(phone, notice(60)), Outcome.DELIVERED)

    try:
        await send()  # the first push of a connection opens its streams
        return percentile(await paced(send, count, _PER_SECOND), 99)
    finally:
        await dispatcher.close()


async def _connecting(provider: Provider, port: int, count: int) -> float:
    phone, key = provider.phone("apns"), provider.key
    how = style(phone.kind, Purpose.CALL)
    assert how is not None
    token = ProviderToken(read_key(key.key_file), key.key_id, key.team_id, lambda: notice(0).deadline)
    tls = tls_context(str(provider.ca_file))

    async def send() -> None:
        pool = ApnsPool(ADDRESS, port, tls)
        connection = await pool.create_connection()
        request = ApnsRequest(phone, notice(60), how)
        request.authorization = token.get_header()
        expect(verdict(await connection.send_notification(request), 0.0), Outcome.DELIVERED)
        connection.close()

    return percentile(await paced(send, count, _PER_SECOND), 99)


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
