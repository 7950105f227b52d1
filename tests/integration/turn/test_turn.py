"""A real coturn, set up as `nightbell up` does, and a real TURN client (aioice)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aioice import stun
from aioice.turn import TurnClientUdpProtocol

from control.host.installation import Installation
from control.host.process import Process
from control.services.ice import IceServer, TurnServer, ice_servers
from control.services.installation import initialise
from control.settings import Settings, TurnSettings, parse
from demo.ports import free_ports

ADDRESS = "127.0.50.1"
RELAY_MIN, RELAY_MAX = 21000, 21099


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("turn")
    port, tls_port = free_ports(ADDRESS, 2)
    turn = {"port": port, "tls_port": tls_port, "relay_min": RELAY_MIN, "relay_max": RELAY_MAX}
    made = parse({"edge": {"address": ADDRESS}, "turn": turn}, home)
    initialise(home, made.database.url)
    return made


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Process]:
    installation = Installation(settings)
    installation.prepare()
    turn = installation.turn
    assert turn is not None
    turn.start()
    yield turn
    turn.stop()


@pytest.fixture
def place(settings: Settings, server: Process) -> TurnServer:
    assert isinstance(settings.turn, TurnSettings)
    return TurnServer(ADDRESS, settings.turn.port, settings.turn.tls_port, settings.turn_secret())


@asynccontextmanager
async def client(place: TurnServer, given: IceServer) -> AsyncIterator[TurnClientUdpProtocol]:
    """A TURN client with that credential; what it has allocated is given back."""
    where = (place.host, place.port)
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: TurnClientUdpProtocol(
            where,
            username=given.username,
            password=given.credential,
            lifetime=600,
            channel_refresh_time=500,
        ),
        remote_addr=where,
    )
    try:
        yield made
        if made.relayed_address is not None:
            await made.delete()
    finally:
        transport.close()


def credential(place: TurnServer, now: float) -> IceServer:
    return ice_servers(place, "alice-k7f3qd", now)[1]


class Listener(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.put_nowait((data, addr))


async def listen(address: str) -> tuple[asyncio.DatagramTransport, Listener]:
    return await asyncio.get_running_loop().create_datagram_endpoint(Listener, local_addr=(address, 0))


async def test_a_credential_of_ours_relays_to_the_media_address(place: TurnServer) -> None:
    transport, media = await listen(ADDRESS)
    async with client(place, credential(place, time.time())) as turn:
        relayed = await turn.connect()
        assert relayed[0] == ADDRESS
        assert RELAY_MIN <= relayed[1] <= RELAY_MAX
        await turn.send_data(b"hello", transport.get_extra_info("sockname"))
        assert await asyncio.wait_for(media.heard.get(), 2.0) == (b"hello", relayed)
    transport.close()


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "127.0.50.2", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "8.8.8.8"]
)
async def test_nobody_else_can_be_reached_through_it(place: TurnServer, peer: str) -> None:
    async with client(place, credential(place, time.time())) as turn:
        await turn.connect()
        with pytest.raises(stun.TransactionFailed) as refused:
            await turn.channel_bind(0x4000, (peer, 5060))
        assert refused.value.response.attributes["ERROR-CODE"][0] == 403


async def test_nobody_can_be_reached_by_ipv6(place: TurnServer) -> None:
    async with client(place, credential(place, time.time())) as turn:
        await turn.connect()
        for peer in ("::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "2001:db8::1"):
            with pytest.raises(stun.TransactionFailed) as refused:
                await turn.channel_bind(0x4000, (peer, 5060))
            # Denied, or of another family than the relayed address (RFC 8656, 9.2).
            assert refused.value.response.attributes["ERROR-CODE"][0] in (403, 443), peer


async def test_an_expired_credential_is_refused(place: TurnServer) -> None:
    await _is_refused(place, credential(place, time.time() - place.lifetime - 5))


async def test_a_credential_made_longer_by_hand_is_refused(place: TurnServer) -> None:
    given = credential(place, time.time())
    later = f"{int(time.time()) + 10 * place.lifetime}:alice-k7f3qd"
    await _is_refused(place, replace(given, username=later))


async def test_without_the_key_no_credential_can_be_made(place: TurnServer) -> None:
    await _is_refused(place, credential(replace(place, secret="guessed"), time.time()))


async def _is_refused(place: TurnServer, given: IceServer) -> None:
    async with client(place, given) as turn:
        with pytest.raises(stun.TransactionFailed) as refused:
            await turn.connect()
        assert refused.value.response.attributes["ERROR-CODE"][0] == 401


def test_the_key_is_in_no_file_that_others_can_read(settings: Settings, server: Process) -> None:
    secret = settings.turn_secret()
    for path in settings.home.rglob("*"):
        if path.is_file() and secret in path.read_bytes().decode("latin-1"):
            assert (path.stat().st_mode & 0o077) == 0, path
    assert secret not in Path(f"/proc/{server.pid}/cmdline").read_text(encoding="utf-8")
