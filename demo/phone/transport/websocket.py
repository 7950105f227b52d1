"""SIP over WebSocket (RFC 7118): one frame, one message."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from demo.phone.errors import TransportError
from demo.phone.message import new_token
from demo.phone.transport.port import Address, OnData, OnLost


class WebSocketTransport:
    """A WebSocket to the server; the phone's own address is a random ``.invalid`` name (RFC 7118 §5)."""

    reliable = True

    def __init__(self, server: Address, secure: bool, on_data: OnData, on_lost: OnLost) -> None:
        self.via = "WSS" if secure else "WS"
        self.sent_by = f"{new_token(6)}.invalid"
        self.contact = f"{self.sent_by};transport=ws"
        self._server, self._on_data, self._on_lost = server, on_data, on_lost
        self._session: aiohttp.ClientSession | None = None
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls,
        server: Address,
        local: str,
        tls: ssl.SSLContext | None,
        server_name: str,
        on_data: OnData,
        on_lost: OnLost,
    ) -> WebSocketTransport:
        """Connect and agree on the subprotocol ``sip``; raises TransportError."""
        transport = cls(server, tls is not None, on_data, on_lost)
        await transport._connect(local, tls, server_name)
        return transport

    def send(self, data: bytes, destination: Address) -> None:
        """Queue one message for the connection."""
        self._outgoing.put_nowait(data)

    async def close(self) -> None:
        """Drop the connection without a closing handshake."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _connect(self, local: str, tls: ssl.SSLContext | None, server_name: str) -> None:
        host, port = self._server
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(local, 0)))
        try:
            socket = await self._session.ws_connect(
                f"{'wss' if tls else 'ws'}://{host}:{port}/ws",
                protocols=("sip",),
                ssl=tls or True,
                server_hostname=server_name if tls else None,
                autoping=True,
            )
        except (aiohttp.ClientError, OSError) as error:
            await self._session.close()
            raise TransportError(f"no WebSocket at {host}:{port}: {error}") from error
        if socket.protocol != "sip":
            await self._session.close()
            raise TransportError(f"{host}:{port} did not agree to the WebSocket subprotocol sip")
        self._tasks = [asyncio.create_task(self._read(socket)), asyncio.create_task(self._write(socket))]

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                self._on_data(frame.data.encode(), self._server)
            elif frame.type is aiohttp.WSMsgType.BINARY:
                self._on_data(frame.data, self._server)
        self._on_lost(f"{self.via} connection lost: closed with code {socket.close_code}")

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            data = await self._outgoing.get()
            try:
                await _send_frame(socket, data)
            except (ConnectionError, aiohttp.ClientError):
                return  # the reader tells that the connection is lost


async def _send_frame(socket: aiohttp.ClientWebSocketResponse, data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        await socket.send_bytes(data)
    else:
        await socket.send_str(text)
