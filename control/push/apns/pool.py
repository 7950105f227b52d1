"""The connections to one APNs host: at least one kept open, more when all are busy."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import aiohappyeyeballs
import structlog
from aioapns.common import NotificationRequest
from aioapns.connection import APNsBaseConnectionPool

from control.push.apns.connection import ApnsConnection
from control.push.apns.request import ApnsAnswer
from control.push.errors import ConnectFailedError, NoAnswerError, NotProcessedError

CONNECT_WITHIN = 5.0  # seconds for TCP, TLS and the server's SETTINGS together
GROW_AFTER = 0.1  # seconds that pushes wait for room before one connection more is opened
CLOSE_WITHIN = 1.0  # seconds
MAX_CONNECTIONS = 4
RESENDS = 3  # of one push that the server says it has not processed
FIRST_PAUSE = 0.2  # seconds between attempts to have a connection again, doubling …
LAST_PAUSE = 15.0  # … up to this

log = structlog.get_logger("push.apns")


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """TLS towards APNs: certificates checked, HTTP/2 chosen by ALPN (aioapns offers none)."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    return context


class ApnsPool(APNsBaseConnectionPool):
    """Finds each push a connection with room; waits for one in order of arrival, without polling."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(max_connections=MAX_CONNECTIONS)
        self.host = host
        self.port = port
        self.ssl_context = tls
        self._usable: list[ApnsConnection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._connecting: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._growing: asyncio.TimerHandle | None = None
        self._all_lost = asyncio.Event()
        self._open: set[ApnsConnection] = set()  # the usable ones, and those that still get answers
        self._stopped = False

    def __repr__(self) -> str:
        return f"<ApnsPool {self.host}:{self.port}, {len(self._usable)} connections>"

    @property
    def connected(self) -> int:
        """How many connections can take pushes."""
        return len(self._usable)

    def start(self) -> asyncio.Task[None]:
        """Connect now and keep connected. The task returned ends with the first attempt, well or not."""
        self._keeper = self.loop.create_task(self._keep_connected())
        return self._connect()

    async def stop(self) -> None:
        """Close every connection; pushes under way raise NoAnswerError."""
        self._stopped = True
        if self._growing is not None:
            self._growing.cancel()
        tasks = [task for task in (self._keeper, self._connecting) if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, NoAnswerError):
                await task
        self._fail_waiting(ConnectFailedError("closed"))
        connections = list(self._open)
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=CLOSE_WITHIN)

    # ------------------------------------------------------------------ sending

    async def send_notification(self, request: NotificationRequest) -> ApnsAnswer:
        """Send on a connection with room. Raises NoAnswerError; the caller brings the deadline."""
        resends = 0
        while True:
            connection = await self.acquire()
            try:
                return await connection.send_notification(request)
            except NotProcessedError:
                resends += 1
                if resends > RESENDS:
                    raise

    async def acquire(self) -> ApnsConnection:
        """A connection that is not busy. Raises ConnectFailedError when there is none and none can be made."""
        called = False
        while True:
            if self._stopped:
                raise ConnectFailedError("closed")
            if called or not self._waiting:
                for connection in self._usable:
                    if not connection.is_busy:
                        if called:
                            self._call_next()  # it runs after our send, and sees what room is left
                        return connection
            if not self._usable:
                self._connect()
            elif self._growing is None:
                self._growing = self.loop.call_later(GROW_AFTER, self._grow)
            await self._turn(ahead=called)
            called = True

    def _grow(self) -> None:
        """One connection more, when pushes still wait: a full one is often about to have room.

        APNs allows a new connection a single stream until it has seen a valid provider token.
        """
        self._growing = None
        if self._waiting and 0 < len(self._usable) < self.max_connections:
            self._connect()
            self._growing = self.loop.call_later(GROW_AFTER, self._grow)

    async def _turn(self, ahead: bool) -> None:
        """Wait to be called; ``ahead``: was called before and found the room taken."""
        ticket = self.loop.create_future()
        if ahead:
            self._waiting.appendleft(ticket)
        else:
            self._waiting.append(ticket)
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self._call_next()  # our turn goes to the next
            else:
                with suppress(ValueError):
                    self._waiting.remove(ticket)
            raise

    def on_room(self, connection: ApnsConnection) -> None:
        """A connection has room: the next who waits may go."""
        if self._waiting and not connection.retired:
            self._call_next()

    def on_retired(self, connection: ApnsConnection) -> None:
        """A connection takes no more pushes."""
        if connection in self._usable:
            self._usable.remove(connection)
            log.info("apns.disconnected", server=self.host, left=len(self._usable))
        if not self._usable:
            self._all_lost.set()
        if self._waiting and not self._stopped:
            self._connect()

    def _call_next(self) -> None:
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(None)
                return

    def _fail_waiting(self, error: ConnectFailedError) -> None:
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_exception(error)

    # --------------------------------------------------------------- connecting

    def _connect(self) -> asyncio.Task[None]:
        """The attempt under way, or a new one: all who wait share it."""
        if self._connecting is None or self._connecting.done():
            self._connecting = self.loop.create_task(self._attempt())
        return self._connecting

    async def _attempt(self) -> None:
        try:
            connection = await self.create_connection()
        except ConnectFailedError as error:
            if not self._usable:
                log.warning("apns.connect-failed", server=self.host, port=self.port, why=str(error))
                self._fail_waiting(error)
            return
        self._usable.append(connection)
        log.info("apns.connected", server=self.host, connections=len(self._usable))
        self._call_next()

    async def create_connection(self) -> ApnsConnection:
        """TCP, TLS and the server's SETTINGS. Raises ConnectFailedError."""
        try:
            # Its own thread, and not under our timeout: a mute resolver must not eat thread after thread.
            found = await self.loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            async with asyncio.timeout(CONNECT_WITHIN):
                return await self._handshake(found)
        except TimeoutError:
            raise ConnectFailedError("connect-timeout", f"no connection in {CONNECT_WITHIN} s") from None
        except ssl.SSLError as error:
            raise ConnectFailedError("tls-failed", error.reason or str(error)) from None
        except socket.gaierror as error:
            raise ConnectFailedError("dns-failed", f"{self.host}: {error.strerror}") from None
        except OSError as error:
            raise ConnectFailedError("connect-failed", error.strerror or str(error)) from None

    async def _handshake(self, addresses: Sequence[aiohappyeyeballs.AddrInfoType]) -> ApnsConnection:
        sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=0.25)
        keep_alive(sock)
        _, connection = await self.loop.create_connection(
            lambda: ApnsConnection(self.host, self.loop, self),
            sock=sock,
            ssl=self.ssl_context,
            server_hostname=self.host,
            ssl_shutdown_timeout=CLOSE_WITHIN,
        )
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._open.discard(connection))
        try:
            # The limit of streams is the server's to say, so nothing is sent before it has spoken.
            await connection.ready
        except BaseException:
            connection.close()
            raise
        if connection.retired:
            raise ConnectFailedError("closed-at-once")
        return connection

    async def _keep_connected(self) -> None:
        pause = FIRST_PAUSE
        while True:
            if self._usable:
                self._all_lost.clear()
                await self._all_lost.wait()
                pause = FIRST_PAUSE
            await asyncio.shield(self._connect())
            if not self._usable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel notice a dead peer, and middleboxes remember us, while no push is sent."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
