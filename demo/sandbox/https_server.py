"""What the services that speak HTTP/1.1 have in common: TLS, a port, and the date of their own clock."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from email.utils import formatdate

from aiohttp import web

from demo.sandbox.credentials import Credentials

_LARGEST = 1024**2  # bytes of a request, if a service does not say otherwise


class HttpsServer(ABC):
    """One service. A subclass has its ``routes``."""

    largest = _LARGEST

    def __init__(self, credentials: Credentials, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(credentials.certificate_file, credentials.certificate_key_file)
        self._runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self) -> Iterable[web.RouteDef]:
        """What it answers."""

    async def start(self, address: str, port: int) -> int:
        """Listen; returns the port, which the system chooses for 0."""
        app = web.Application(client_max_size=self.largest)
        app.router.add_routes(self.routes())
        app.on_response_prepare.append(self._date)
        # A request that hangs by order ends with its connection, or at once when the sandbox stops.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port, ssl_context=self._tls, backlog=512).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening and hang up."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(self._clock(), usegmt=True)
