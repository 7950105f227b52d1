"""SIP over UDP: one datagram, one message."""

from __future__ import annotations

import asyncio
from typing import cast

from demo.phone.errors import TransportError
from demo.phone.transport.port import Address, OnData


class UdpTransport(asyncio.DatagramProtocol):
    """A socket of the phone's own; it sends to any address and takes from any."""

    via = "UDP"
    reliable = False

    def __init__(self, on_data: OnData) -> None:
        self._on_data = on_data
        self._socket: asyncio.DatagramTransport | None = None
        self._closed = asyncio.get_running_loop().create_future()
        self.sent_by = self.contact = ""

    @classmethod
    async def open(cls, local: str, on_data: OnData) -> UdpTransport:
        """Bind a port of the system's choice on ``local``; raises TransportError."""
        transport = cls(on_data)
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: transport, (local, 0))
        except OSError as error:
            raise TransportError(f"cannot bind UDP on {local}: {error}") from error
        return transport

    def send(self, data: bytes, destination: Address) -> None:
        """Send one datagram."""
        if self._socket is not None:
            self._socket.sendto(data, destination)

    async def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.abort()
            self._socket = None
            await self._closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is bound."""
        # Not an instance of it before Python 3.12, so a cast.
        self._socket = cast(asyncio.DatagramTransport, transport)
        host, port = transport.get_extra_info("sockname")
        self.sent_by = self.contact = f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand one message on."""
        self._on_data(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (ICMP): the transaction's timers deal with it."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        if not self._closed.done():
            self._closed.set_result(None)
