"""The listening side of the APNs sandbox: TLS with ALPN ``h2``, and the set of live connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from demo.sandbox.apns.connection import ApnsConnection
from demo.sandbox.apns.service import ApnsService
from demo.sandbox.credentials import Credentials


class ApnsServer:
    """Accepts senders on one address."""

    def __init__(self, service: ApnsService, credentials: Credentials, clock: Callable[[], float]) -> None:
        self._service = service
        self._clock = clock
        self._connections: set[ApnsConnection] = set()
        self._server: asyncio.Server | None = None
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(credentials.certificate_file, credentials.certificate_key_file)
        self._tls.set_alpn_protocols(["h2"])
        service.orders.on_change(self._orders_changed)

    async def start(self, address: str, port: int) -> int:
        """Listen; returns the port, which the system chooses for 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ApnsConnection(self._service, self._clock, self._connections),
            address,
            port,
            ssl=self._tls,
            backlog=512,
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening and send every sender away."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        self._connections.clear()
        self._server = None

    def _orders_changed(self) -> None:
        for connection in self._connections:
            connection.limit_streams()
