"""The registrar's ears and mouth: UDP, TCP and TLS sockets of one asyncio process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable
from functools import partial

from tests.fakes.registrar.core import Answer, Core

_BUFFER = 256 << 20  # bytes: every REGISTER of a storm is seen
_SO_TIMESTAMPNS = 35  # Linux: when the kernel took the datagram, so that a peak is the sender's, not ours
_AT_ONCE = 200  # datagrams read before others have their turn
_HEAD_END = b"\r\n\r\n"
_LARGEST = 65_536


def udp_socket(address: str, port: int) -> socket.socket:
    """A UDP socket that holds a storm and notes arrival times."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option, forced in ((socket.SO_RCVBUF, 33), (socket.SO_SNDBUF, 32)):
        link.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        with contextlib.suppress(PermissionError):
            link.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)  # SO_RCVBUFFORCE, SO_SNDBUFFORCE: root only
    link.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    link.bind((address, port))
    link.setblocking(False)
    return link


class Server:
    """Serves one Core on one address, or as many PBXs on several. ``ports`` are by transport, once started."""

    def __init__(self, core: Core, address: str, *more: str) -> None:
        self.core = core
        self.ports: dict[str, int] = {}
        self._addresses = (address, *more)
        self._loop = asyncio.get_running_loop()
        self._datagrams: list[socket.socket] = []
        self._listeners: list[asyncio.Server] = []
        self._streams: set[Stream] = set()

    async def start(
        self, udp: int = 0, tcp: int = 0, tls: int = 0, context: ssl.SSLContext | None = None
    ) -> None:
        """Open the ports, the same ones on every address (0: the system chooses); TLS only with a context."""
        for address in self._addresses:
            link = udp_socket(address, self.ports.get("udp", udp))
            self._datagrams.append(link)
            self._loop.add_reader(link, self._read_datagrams, link)
            self.ports["udp"] = link.getsockname()[1]
            # A client that finds the PBX over TCP expects it at the port it knows from UDP.
            self.ports["tcp"] = await self._listen(
                address, self.ports.get("tcp", tcp or self.ports["udp"]), None
            )
            if context is not None:
                self.ports["tls"] = await self._listen(address, self.ports.get("tls", tls), context)

    async def stop(self) -> None:
        """Close everything, silently."""
        for link in self._datagrams:
            self._loop.remove_reader(link)
            link.close()
        for listener in self._listeners:
            listener.close()
        self.cut_connections()

    def cut_connections(self) -> int:
        """Reset every TCP and TLS connection; how many there were."""
        open_now = list(self._streams)
        for stream in open_now:
            stream.cut()
        return len(open_now)

    async def _listen(self, address: str, port: int, context: ssl.SSLContext | None) -> int:
        listener = await self._loop.create_server(
            lambda: Stream(self.core, self._streams), address, port, ssl=context, backlog=512
        )
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    def _read_datagrams(self, link: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, source = link.recvmsg(_LARGEST, 64)
            except BlockingIOError:
                return
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            answers = self.core.receive(data, source[0], seconds + nanoseconds / 1e9)
            if answers:
                deliver(self._loop, answers, partial(_send, link, source), _nothing)


class Stream(asyncio.Protocol):
    """One TCP or TLS connection, cut into messages (RFC 3261, 18.3)."""

    def __init__(self, core: Core, streams: set[Stream]) -> None:
        self._core = core
        self._streams = streams
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = transport.get_extra_info("peername")[0]
        self._streams.add(self)
        self._core.statistics.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._streams.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        self._buffer += data
        while self._buffer.startswith(b"\r\n"):  # keep-alive (RFC 5626, 3.5.1)
            del self._buffer[:2]
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            size = end + len(_HEAD_END) + _content_length(bytes(self._buffer[:end]))
            if len(self._buffer) < size:
                return
            whole = bytes(self._buffer[:size])
            del self._buffer[:size]
            answers = self._core.receive(whole, self._peer, time.time())
            deliver(asyncio.get_running_loop(), answers, self._write, self.cut)

    def cut(self) -> None:
        """Reset the connection: RST, no farewell."""
        if self._transport is None:
            return
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def deliver(
    loop: asyncio.AbstractEventLoop,
    answers: list[Answer],
    send: Callable[[bytes], None],
    cut: Callable[[], None],
) -> None:
    """Send the answers when their time has come."""
    for answer in answers:
        if answer.after:
            loop.call_later(answer.after, *((send, answer.data) if answer.data else (cut,)))
        elif answer.data:
            send(answer.data)
        else:
            cut()


def _send(link: socket.socket, to: tuple[str, int], data: bytes) -> None:
    with contextlib.suppress(OSError):  # a client that is gone, or a full queue: UDP loses datagrams
        link.sendto(data, to)


def _nothing() -> None:
    """There is no connection to cut."""


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in (b"content-length", b"l") and value.strip().isdigit():
            return int(value)
    return 0
