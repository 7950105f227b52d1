"""Somebody on the Internet who sends what he likes to the media relay's ports, from an address that has no part in any call."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
import struct
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from OpenSSL import SSL

from demo.phone.g711 import CODECS
from demo.phone.sdp import PCMU
from demo.phone.tone import one_second
from tests.e2e.raw_sip import STRANGER

TONE = 1500  # Hz: what he says, if anybody hears him
_PACKET = 160  # samples of 20 ms


def media_ports(body: bytes) -> list[int]:
    """The ports of each stream of a session description, and the ones above, which are RTCP's."""
    ports = [int(port) for port in re.findall(rb"^m=\w+ (\d+) ", body, re.MULTILINE)]
    return [port + above for port in ports for above in (0, 1)]


def client_hello() -> bytes:
    """The first datagram of a DTLS handshake, as CVE-2023-51275 wants it."""
    connection = SSL.Connection(SSL.Context(SSL.DTLS_CLIENT_METHOD))
    connection.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(1500)


def speech() -> Callable[[], bytes]:
    """RTP packets that say TONE, one each time."""
    octets = CODECS[PCMU].encode(one_second(TONE))
    source, begin = secrets.randbits(32), secrets.randbelow(0x4000)
    count = 0

    def packet() -> bytes:
        nonlocal count
        count += 1
        at = count * _PACKET % len(octets)
        header = struct.pack("!BBHII", 0x80, PCMU, begin + count & 0xFFFF, count * _PACKET, source)
        return header + octets[at : at + _PACKET]

    return packet


class Attacker:
    """He sends ``packet()`` to all ``ports()`` every 20 ms, while he is entered; ``rtp_packets`` of audio came back from them."""

    def __init__(self, address: str, ports: Callable[[], Iterable[int]], packet: Callable[[], bytes]) -> None:
        self.rtp_packets = 0
        self._address, self._ports = address, ports
        self._targets: set[tuple[str, int]] = set()
        self._packet = packet
        self._under_way = asyncio.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._socket.bind((STRANGER, 0))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._receive)
        self._task = asyncio.create_task(self._attack())
        await self._under_way.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    async def _attack(self) -> None:
        while True:
            packet = self._packet()
            self._targets |= {(self._address, port) for port in await asyncio.to_thread(self._ports)}
            for target in self._targets:
                with contextlib.suppress(OSError):
                    self._socket.sendto(packet, target)
            self._under_way.set()
            await asyncio.sleep(0.02)

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            data, source = self._socket.recvfrom(2048)
            self.rtp_packets += source in self._targets and len(data) > 100 and data[0] >> 6 == 2
