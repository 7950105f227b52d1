"""A provider that is down, in whatever way: ``retry`` by the deadline, and the other is not delayed."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from control.domain.push import Outcome
from control.push.apns import connection
from control.push.apns import provider as apns_provider
from control.push.apns.provider import ApnsProvider
from control.push.dispatcher import Dispatcher
from control.push.fcm import provider as fcm_provider
from control.push.fcm.provider import FcmProvider

if TYPE_CHECKING:
    from tests.contract.push.conftest import Rig

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _short_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """``start`` need not wait its two seconds for a provider that is down."""
    monkeypatch.setattr(apns_provider, "CONNECT_AHEAD", 0.2)
    monkeypatch.setattr(fcm_provider, "CONNECT_AHEAD", 0.2)


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything, says nothing."""
    while await reader.read(65536):
        pass


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes at once."""


async def greet_and_fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server whose machine dies after its SETTINGS: not even a PING is answered."""
    h2 = H2Connection(H2Configuration(client_side=False))
    h2.initiate_connection()
    writer.write(h2.data_to_send())
    await mute(reader, writer)


async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks something else than HTTP."""
    writer.write(b"220 mail.example.org ESMTP\r\n" * 20)
    await writer.drain()
    await mute(reader, writer)


@asynccontextmanager
async def listening(handler: Handler, rig: Rig, tls: bool = True) -> AsyncIterator[int]:
    """A server with the sandbox's certificate that behaves as ``handler`` does; yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        credentials = rig.sandbox.credentials
        context.load_cert_chain(credentials.certificate_file, credentials.certificate_key_file)
        context.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.start_server(serve, rig.sandbox.address, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def closed_port(address: str) -> int:
    with socket.socket() as sock:
        sock.bind((address, 0))
        port: int = sock.getsockname()[1]
        return port


DOWN = {
    "mute-before-tls": (mute, False),
    "mute-after-tls": (mute, True),
    "hangs-up-before-tls": (hang_up, False),
    "hangs-up-after-tls": (hang_up, True),
    "plain-text-instead-of-tls": (talk_nonsense, False),
    "another-protocol": (talk_nonsense, True),
    "dies-after-settings": (greet_and_fall_silent, True),
}


@pytest.mark.parametrize("fault", sorted(DOWN))
@pytest.mark.parametrize("name", ["apns", "fcm"])
async def test_p4_a_broken_provider_gives_retry_by_the_deadline_and_does_not_delay_the_other(
    rig: Rig, name: str, fault: str
) -> None:
    handler, tls = DOWN[fault]
    async with listening(handler, rig, tls) as port:
        await down(rig, name, port)


@pytest.mark.parametrize("name", ["apns", "fcm"])
async def test_p4_a_refused_connection_gives_retry_by_the_deadline(rig: Rig, name: str) -> None:
    await down(rig, name, closed_port(rig.sandbox.address))


async def down(rig: Rig, name: str, port: int) -> None:
    """One provider leads to ``port``; pushes to both are under way at once."""
    other = "fcm" if name == "apns" else "apns"
    apns = rig.apns(port=port) if name == "apns" else rig.apns()
    fcm = rig.fcm(base_url=f"https://{rig.sandbox.address}:{port}") if name == "fcm" else rig.fcm()
    async with apns as first, fcm as second:
        dispatcher = Dispatcher([first, second])
        started = time.monotonic()
        stuck = [
            asyncio.create_task(dispatcher.dispatch(rig.phone(name), rig.notice(1.0))) for _ in range(20)
        ]
        verdicts = await asyncio.gather(
            *(dispatcher.dispatch(rig.phone(other), rig.notice()) for _ in range(5))
        )
        assert {v.outcome for v in verdicts} == {Outcome.DELIVERED}
        assert time.monotonic() - started < 0.9
        verdicts = await asyncio.gather(*stuck)
        assert {(v.outcome, v.status) for v in verdicts} == {(Outcome.RETRY, 0)}
        assert all(v.reason for v in verdicts)
        assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("kind", [ApnsProvider, FcmProvider])
async def test_p4_a_certificate_nobody_vouches_for_gives_retry_and_no_push(
    rig: Rig, kind: type[ApnsProvider] | type[FcmProvider]
) -> None:
    start = rig.apns if kind is ApnsProvider else rig.fcm
    async with start(ca_file=None) as provider:
        verdict = await provider.push(rig.phone(provider.name), rig.notice(2.0))
    assert verdict.outcome is Outcome.RETRY
    assert verdict.reason in {"tls-failed", "oauth-unavailable"}
    assert rig.sandbox.pushes == []


async def test_a_name_that_does_not_resolve_gives_retry(rig: Rig) -> None:
    async with rig.apns(server="push.invalid") as apns:
        verdict = await apns.push(rig.phone("apns"), rig.notice(5.0))
    assert verdict.outcome is Outcome.RETRY
    assert verdict.reason in {"dns-failed", "timeout"}


async def test_a_connection_whose_other_end_died_is_noticed_long_before_the_deadline(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_AFTER", 0.2)
    monkeypatch.setattr(connection, "PONG_WITHIN", 0.2)
    monkeypatch.setattr(connection, "WATCH_EVERY", 0.05)
    async with listening(greet_and_fall_silent, rig) as port, rig.apns(port=port) as apns:
        started = time.monotonic()
        verdict = await apns.push(rig.phone("apns"), rig.notice(20))
        assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "connection-silent")
        assert time.monotonic() - started < 3


async def test_a_slow_answer_on_a_living_connection_is_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_AFTER", 0.1)
    monkeypatch.setattr(connection, "PONG_WITHIN", 0.3)
    monkeypatch.setattr(connection, "WATCH_EVERY", 0.05)
    rig.sandbox.order("apns", delay_ms=1200, count=1)
    async with rig.apns() as apns:
        assert (await apns.push(rig.phone("apns"), rig.notice())).outcome is Outcome.DELIVERED
    assert len(rig.sandbox.pushes) == 1


async def test_p4_a_provider_that_comes_back_within_the_deadline_still_gets_the_push(rig: Rig) -> None:
    async with rig.apns() as apns, rig.fcm() as fcm:
        dispatcher = Dispatcher([apns, fcm])
        for name in ("apns", "fcm"):
            await rig.sandbox.take_down(name)
        tasks = [
            asyncio.create_task(dispatcher.dispatch(rig.phone(name), rig.notice(15)))
            for name in ("apns", "fcm")
        ]
        await asyncio.sleep(0.5)
        for name in ("apns", "fcm"):
            await rig.sandbox.bring_up(name)
        assert {v.outcome for v in await asyncio.gather(*tasks)} == {Outcome.DELIVERED}


@pytest.mark.parametrize("name", ["apns", "fcm"])
async def test_closing_ends_the_pushes_under_way_with_retry(rig: Rig, name: str) -> None:
    rig.sandbox.order(name, fault="hang")
    async with rig.apns() if name == "apns" else rig.fcm() as provider:
        task = asyncio.create_task(provider.push(rig.phone(name), rig.notice()))
        await rig.until(lambda: len(rig.sandbox.pushes) == 1)
        await provider.close()
        assert (await asyncio.wait_for(task, 3)).outcome is Outcome.RETRY
