"""SIP over WebSocket at its edges: silence, a peer that is gone, a new connection, messages larger than any phone sends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from _pytest.tmpdir import TempPathFactory

from demo.phone import Phone
from demo.stack import Stack
from tests.e2e.browser_phone.browser import chromium, phone_in
from tests.e2e.link import TcpLink
from tests.e2e.raw_sip import TcpSocket, frame, request
from tests.e2e.scene import BOB, Scene, answered, assert_they_hear_each_other, hang_up, invites
from tests.fixtures.webrtc import WebRtcPhone

PING = 2  # s: so long a client that shares a busy machine has to answer
FRIEND = "https://crm.example.net"
REGISTRAR, SOMEBODY = "sip:nightbell.test", ("127.0.7.13", 5060)


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: TempPathFactory) -> Iterator[Stack]:
    """A stack of this module's own, with little patience, and for the pages of one other host."""
    edge: dict[str, int | str] = {"websocket_ping": PING, "origins": FRIEND}
    stack = Stack(tmp_path_factory.mktemp("websocket"), edge=edge)
    try:
        for _ in stack.start():
            pass
        yield stack
    finally:
        for _ in stack.stop():
            pass


async def call_reaches(scene: Scene, phone: Phone) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def test_s3_an_idle_connection_is_pinged_and_stays(scene: Scene) -> None:
    host, port = scene.stack.sip_address("ws")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://{host}:{port}/", protocols=("sip",), autoping=False) as socket,
    ):
        for _ in range(3):
            ping = await socket.receive(timeout=5 * PING)
            assert ping.type is aiohttp.WSMsgType.PING
            await socket.pong(ping.data)
        await socket.send_str(request("OPTIONS", REGISTRAR, source=SOMEBODY, protocol="WS").decode())
        assert (await socket.receive_str(timeout=5)).startswith("SIP/2.0 200")


async def test_s3_who_does_not_answer_pings_is_given_up(scene: Scene) -> None:
    host, port = scene.stack.sip_address("ws")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://{host}:{port}/", protocols=("sip",), autoping=False) as socket,
    ):
        ping = await socket.receive(timeout=5 * PING)
        assert ping.type is aiohttp.WSMsgType.PING
        assert scene.stack.rpc("ws.dump")["connections"]
        await scene.stack.eventually(
            lambda: not scene.stack.rpc("ws.dump")["connections"], "it is given up", 5 * PING
        )
        # Kamailio closes TCP now if a worker still watches this connection, else when it says something again.
        with contextlib.suppress(ConnectionError):
            await socket.pong(ping.data)
        assert (await socket.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_w7_a_browser_that_is_gone_without_a_word_counts_as_asleep(
    scene: Scene, transport: str
) -> None:
    stack = scene.stack
    await scene.extension()
    async with TcpLink(stack.sip_address(transport), stack.address) as link:
        bob = await scene.awake("browser", transport=transport, server=link.address, kind=WebRtcPhone)
        await link.cut()
        await stack.eventually(lambda: not stack.bindings(bob.id), "the binding is dropped", 6 * PING)
        assert not bob.phone.lost, "the phone has been told"
        alice = await scene.caller()
        await alice.call(BOB)
        await scene.pushed(bob)


async def test_s2_a_browser_that_connects_again_is_rung_there_alone(scene: Scene) -> None:
    stack = scene.stack
    await scene.extension()
    async with TcpLink(stack.sip_address("wss"), stack.address) as link:
        bob = await scene.awake("browser", transport="wss", server=link.address, kind=WebRtcPhone)
        before = stack.bindings(bob.id)
        await link.cut()
        await bob.phone.wake()
        (after,) = stack.bindings(bob.id)
        assert [after] != before
        await call_reaches(scene, bob.phone)
        assert len(invites(bob.phone)) == 1
        assert stack.bindings(bob.id) == [after]


async def handshake(stack: Stack, transport: str, origin: str | None) -> int:
    """The status that a page from there gets when it wants to speak SIP; None: what is no browser."""
    host, port = stack.sip_address(transport)
    scheme, tls = ("https", False) if transport == "wss" else ("http", True)
    url = f"{scheme}://{host}:{port}/"
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url, protocols=("sip",), origin=origin, ssl=tls):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status


@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_s3_only_pages_that_are_named_may_connect(scene: Scene, transport: str) -> None:
    stack = scene.stack
    for origin in (None, FRIEND, FRIEND.upper(), stack.settings.phone_url):
        assert await handshake(stack, transport, origin) == 101, origin
    for origin in ("https://elsewhere.example", f"{FRIEND}.elsewhere.example", "null"):
        assert await handshake(stack, transport, origin) == 403, origin


async def test_s3_the_phone_in_the_page_may_connect_whatever_pages_are_named(
    scene: Scene, tmp_path: Path
) -> None:
    device = await scene.stack.add_device("Bob's browser", "bob")
    async with chromium(tmp_path) as browser:
        phone = await phone_in(browser, scene.stack)
        await phone.set_up(device.id)
        (contact,) = scene.stack.bindings(device.id)
    assert ".invalid" in contact


@pytest.mark.parametrize("keepalive", ["\r\n\r\n", "\r\n"], ids=["two", "one"])
async def test_s3_line_ends_are_answered_and_keep_a_connection_alive(scene: Scene, keepalive: str) -> None:
    host, port = scene.stack.sip_address("ws")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://{host}:{port}/", protocols=("sip",)) as socket,
    ):
        await socket.send_str(keepalive)
        assert (await socket.receive_str(timeout=5)) == "\r\n"
        await socket.send_str(request("OPTIONS", REGISTRAR, source=SOMEBODY, protocol="WS").decode())
        assert (await socket.receive_str(timeout=5)).startswith("SIP/2.0 200")


async def test_a_handshake_is_no_error_in_the_log(scene: Scene) -> None:
    log = scene.stack.kamailio.program.log
    said = log.stat().st_size
    await scene.awake("browser", transport="wss", kind=WebRtcPhone)
    with log.open("rb") as file:
        file.seek(said)
        assert b"bad message" not in file.read()


async def test_s3_a_message_of_60_kb_is_answered_and_one_of_70_kb_closes_its_connection_alone(
    scene: Scene,
) -> None:
    def options(size: int) -> bytes:
        return frame(request("OPTIONS", REGISTRAR, "X-Long: " + "x" * size, source=SOMEBODY, protocol="WS"))

    stack = scene.stack
    await scene.extension()
    bob = await scene.awake("browser", transport="ws", kind=WebRtcPhone)
    async with await TcpSocket.open(stack.sip_address("ws")) as socket:
        await socket.upgrade()
        answer = await socket.answered_or_closed(options(60_000))
        assert "SIP/2.0 200" in answer
    async with await TcpSocket.open(stack.sip_address("ws")) as socket:
        await socket.upgrade()
        await socket.send(options(70_000))
        assert await socket.closed()
    await call_reaches(scene, bob.phone)
