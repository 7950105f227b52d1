"""SIP over TCP and TLS: one connection from the phone to its server."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from demo.phone.errors import TransportError
from demo.phone.transport.framing import Framer
from demo.phone.transport.port import Address, OnData, OnLost


class StreamTransport(asyncio.Protocol):
    """A connection; everything goes through it, whatever the destination."""

    reliable = True

    def __init__(self, server: Address, secure: bool, on_data: OnData, on_lost: OnLost) -> None:
        self.via = "TLS" if secure else "TCP"
        self.sent_by = self.contact = ""
        self._server, self._on_data, self._on_lost = server, on_data, on_lost
        self._framer = Framer()
        self._connection: asyncio.Transport | None = None
        self._closed = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls,
        server: Address,
        local: str,
        tls: ssl.SSLContext | None,
        server_name: str,
        on_data: OnData,
        on_lost: OnLost,
    ) -> StreamTransport:
        """Connect; with ``tls`` the server must prove to be ``server_name`` (RFC 5922). Raises TransportError."""
        transport = cls(server, tls is not None, on_data, on_lost)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: transport,
                *server,
                ssl=tls,
                server_hostname=server_name if tls else None,
                local_addr=(local, 0),
            )
        except OSError as error:
            raise TransportError(f"cannot connect to {server[0]}:{server[1]}: {error}") from error
        return transport

    def send(self, data: bytes, destination: Address) -> None:
        """Write one message to the connection."""
        if self._connection is not None:
            self._connection.write(data)

    async def close(self) -> None:
        """Drop the connection without a word of SIP."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            await self._closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, TLS included."""
        self._connection = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("sockname")[:2]
        self.sent_by = f"{host}:{port}"
        self.contact = f"{self.sent_by};transport={self.via.lower()}"

    def data_received(self, data: bytes) -> None:
        """Hand on every message that is complete."""
        for message in self._framer.feed(data):
            self._on_data(message, self._server)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended; by the server when the phone still held it."""
        held, self._connection = self._connection is not None, None
        if not self._closed.done():
            self._closed.set_result(None)
        if held:
            self._on_lost(f"{self.via} connection lost: {exc or 'closed by the server'}")
