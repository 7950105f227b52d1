"""The network between a phone and Nightbell, which can go away without a word to either side."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

Address = tuple[str, int]


class UdpLink:
    """A NAT with one mapping: the phone sends to ``address``; Nightbell sees one and the same flow all the time.

    While ``up`` is False everything is lost, while ``deaf`` what is for the phone; ``lost`` counts that, by its first word.
    """

    def __init__(self, server: Address, local: str) -> None:
        self.up, self.deaf = True, False
        self.lost: dict[str, int] = {}
        self.address: Address = (local, 0)
        self._server = server
        self._phone: Address | None = None
        self._inside: asyncio.DatagramTransport | None = None
        self._outside: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop, local = asyncio.get_running_loop(), self.address[0]
        self._inside = await _bind(loop, (local, 0), self._from_phone)
        self._outside = await _bind(loop, (local, 0), self._from_server)
        self.address = self._inside.get_extra_info("sockname")[:2]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transport in (self._inside, self._outside):
            if transport is not None:
                transport.abort()

    def _from_phone(self, data: bytes, source: Address) -> None:
        self._phone = source
        if self.up and self._outside is not None:
            self._outside.sendto(data, self._server)

    def _from_server(self, data: bytes, source: Address) -> None:
        if not self.up or self.deaf:
            word = data.split(b" ", 1)[0].decode("ascii", "replace")
            self.lost[word] = self.lost.get(word, 0) + 1
        elif self._inside is not None and self._phone is not None:
            self._inside.sendto(data, self._phone)


class TcpLink:
    """A relay of TCP connections. ``cut`` stops those that stand, without closing them: as when a phone leaves its WLAN."""

    def __init__(self, server: Address, local: str) -> None:
        self.address: Address = (local, 0)
        self._server = server
        self._listener: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, *self.address)
        self.address = self._listener.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()
        if self._listener is not None:
            self._listener.close()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*(_closed(end) for end in self._ends))

    async def cut(self) -> None:
        """Pass nothing on any more over the connections that stand; new ones work."""
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_connection(*self._server)
        self._ends += [writer, to_server[1]]
        for source, sink in ((reader, to_server[1]), (to_server[0], writer)):
            pump = asyncio.create_task(_pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.transport.abort()


async def _closed(end: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await end.wait_closed()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_data: object) -> None:
        self.datagram_received = on_data  # type: ignore[method-assign,assignment]


async def _bind(
    loop: asyncio.AbstractEventLoop, local: Address, on_data: object
) -> asyncio.DatagramTransport:
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(on_data), local_addr=local)
    return transport
