"""One HTTP/2 connection to APNs: aioapns' protocol with its faults cured (docs/adr/0002-push-libraries.md)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from aioapns.common import NotificationRequest
from aioapns.connection import APNsTLSClientProtocol
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import NoAvailableStreamIDError, ProtocolError

from control.push.apns.graceful import GracefulH2Connection
from control.push.apns.request import MAX_BODY, ApnsAnswer, ApnsRequest
from control.push.errors import ConnectFailedError, NoAnswerError, NotProcessedError, UnansweredError

STREAMS_LIMIT = 1000  # pushes under way on one connection, when the server allows that many
MAX_ANSWER = 64 * 1024  # bytes kept of an answer's body; Apple's are below 100
PING_AFTER = 1.5  # seconds a push waits in silence before the connection is asked whether it lives
PONG_WITHIN = 1.5  # seconds
WATCH_EVERY = 0.5  # seconds

log = structlog.get_logger("push.apns")


class ConnectionOwner(Protocol):
    """Who is told of a connection's life: the pool."""

    def on_room(self, connection: ApnsConnection) -> None:
        """A push more can be sent on it."""

    def on_retired(self, connection: ApnsConnection) -> None:
        """It takes no more pushes. Told once; answers may still come."""


@dataclass(slots=True)
class _Exchange:
    answered: asyncio.Future[ApnsAnswer]
    sent_at: float
    status: str = ""
    apns_id: str = ""
    retry_after: str | None = None
    date: str | None = None
    body: bytearray = field(default_factory=bytearray)


class ApnsConnection(APNsTLSClientProtocol):
    """Sends pushes and settles each by its stream, whatever way the stream ends."""

    def __init__(self, authority: str, loop: asyncio.AbstractEventLoop, owner: ConnectionOwner) -> None:
        super().__init__(apns_topic="", loop=loop)
        self.conn = GracefulH2Connection()
        self.ready: asyncio.Future[None] = loop.create_future()  # the server's SETTINGS have come
        self.closed: asyncio.Future[None] = loop.create_future()
        self.retired = False
        self._authority = authority.encode()
        self._owner = owner
        self._exchanges: dict[int, _Exchange] = {}  # by stream id, so oldest first
        self._heard_at = loop.time()
        self._pinged = False
        self._watch: asyncio.TimerHandle | None = None
        self._end_reason = "connection-lost"

    def __repr__(self) -> str:
        return f"<ApnsConnection {self._authority.decode()}, {len(self._exchanges)} under way>"

    # ------------------------------------------------------------------ sending

    @property
    def is_busy(self) -> bool:
        """Whether one more push has to wait or go elsewhere: stream limit, flow control, or retired."""
        settings = self.conn.remote_settings
        return (
            self.retired
            or len(self._exchanges) >= min(settings.max_concurrent_streams, STREAMS_LIMIT)
            or min(self.conn.outbound_flow_control_window, settings.initial_window_size) < MAX_BODY
        )

    async def send_notification(self, request: NotificationRequest) -> ApnsAnswer:
        """Send one push on a connection that is not busy, and wait for its answer.

        Raises NotProcessedError (send it elsewhere) or UnansweredError. Cancelling resets the stream.
        """
        if not isinstance(request, ApnsRequest):
            raise TypeError("this connection sends ApnsRequest only")
        stream = self._send(request)
        try:
            return await self._exchanges[stream].answered
        finally:
            if self._exchanges.pop(stream, None) is not None:
                self._give_up(stream)

    def _send(self, request: ApnsRequest) -> int:
        try:
            stream = self.conn.get_next_available_stream_id()
            self.conn.send_headers(stream, request.headers(self._authority))
            self.conn.send_data(stream, request.body, end_stream=True)
        except NoAvailableStreamIDError:
            self._retire()
            raise NotProcessedError("streams-exhausted") from None
        except ProtocolError as error:
            self._abort("protocol-error")
            raise NotProcessedError("protocol-error", str(error)) from None
        now = self.loop.time()
        self._exchanges[stream] = _Exchange(self.loop.create_future(), now)
        self.flush()
        if self._watch is None:
            self._watch = self.loop.call_later(WATCH_EVERY, self._look)
        return stream

    def flush(self) -> None:
        """Hand what h2 has ready to the transport."""
        data = self.conn.data_to_send()
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _give_up(self, stream: int) -> None:
        with suppress(ProtocolError):  # it is closed already
            self.conn.reset_stream(stream, ErrorCodes.CANCEL)
        self.flush()
        self._after_settling()

    # ---------------------------------------------------------------- receiving

    def data_received(self, data: bytes) -> None:
        """Feed what has come to h2, acknowledge bodies, and settle the streams that ended."""
        self._heard_at = self.loop.time()
        self._pinged = False
        try:
            for event in self.conn.receive_data(data):
                self._handle(event)
        except ProtocolError as error:
            log.warning("apns.protocol-error", server=self._authority.decode(), error=str(error))
            self.flush()  # h2 has a GOAWAY ready that says why
            self._abort("protocol-error")
            return
        self.flush()
        self._after_settling()

    def _handle(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                if exchange := self._exchanges.get(event.stream_id):
                    headers = dict(event.headers)
                    exchange.status = headers.get(b":status", b"").decode("ascii", "replace")
                    exchange.apns_id = headers.get(b"apns-id", b"").decode("ascii", "replace")
                    if after := headers.get(b"retry-after"):
                        exchange.retry_after = after.decode("ascii", "replace")
                    if date := headers.get(b"date"):
                        exchange.date = date.decode("ascii", "replace")
            case DataReceived():
                if event.flow_controlled_length:
                    self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                exchange = self._exchanges.get(event.stream_id)
                if exchange and len(exchange.body) < MAX_ANSWER:
                    exchange.body += event.data
            case StreamEnded():
                self._settle(event.stream_id)
            case StreamReset():
                if event.error_code == ErrorCodes.REFUSED_STREAM:
                    self._fail(event.stream_id, NotProcessedError("refused-stream"))
                else:
                    self._fail(event.stream_id, UnansweredError("stream-reset", f"code {event.error_code}"))
            case ConnectionTerminated():
                self._on_goaway(event)
            case RemoteSettingsChanged():
                if not self.ready.done():
                    self.ready.set_result(None)

    def _settle(self, stream: int) -> None:
        exchange = self._exchanges.pop(stream, None)
        if exchange is not None and not exchange.answered.done():
            answer = ApnsAnswer(
                exchange.apns_id, exchange.status, bytes(exchange.body), exchange.retry_after, exchange.date
            )
            exchange.answered.set_result(answer)

    def _fail(self, stream: int, error: NoAnswerError) -> None:
        exchange = self._exchanges.pop(stream, None)
        if exchange is not None and not exchange.answered.done():
            exchange.answered.set_exception(error)

    def _on_goaway(self, event: ConnectionTerminated) -> None:
        """RFC 9113 §6.8: streams above the last one named were not processed; the others still get answers."""
        log.info(
            "apns.goaway",
            server=self._authority.decode(),
            code=event.error_code,
            said=(event.additional_data or b"")[:200].decode("utf-8", "replace"),
        )
        self._retire()
        last = event.last_stream_id or 0
        for stream in [stream for stream in self._exchanges if stream > last]:
            self._fail(stream, NotProcessedError("goaway"))

    def _after_settling(self) -> None:
        if self.retired:
            if not self._exchanges:
                self.close()
        elif not self.is_busy:
            self._owner.on_room(self)

    # ------------------------------------------------------------ life and death

    def refresh_inactivity_timer(self) -> None:
        """Nothing: an idle connection is kept, so that the next call's push need not wait for TLS."""

    def retire(self) -> None:
        """Take no more pushes; close when the answers under way have come."""
        self._retire()
        self._after_settling()

    def _retire(self) -> None:
        if not self.retired:
            self.retired = True
            self._owner.on_retired(self)

    def _look(self) -> None:
        """While pushes are under way: find out whether the other side is still there."""
        self._watch = None
        oldest = next(iter(self._exchanges.values()), None)
        if oldest is None:
            return
        silent = self.loop.time() - max(self._heard_at, oldest.sent_at)
        if silent >= PING_AFTER + PONG_WITHIN:
            log.warning("apns.silent", server=self._authority.decode(), seconds=round(silent, 1))
            self._abort("connection-silent")
            return
        if silent >= PING_AFTER and not self._pinged:
            self._pinged = True
            self.conn.ping(b"nightbel")
            self.flush()
        self._watch = self.loop.call_later(WATCH_EVERY, self._look)

    def _abort(self, reason: str) -> None:
        self._end_reason = reason
        self._retire()
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: whoever still waits learns it now."""
        if self._watch is not None:
            self._watch.cancel()
        detail = str(exc) if exc else ""
        if not self.ready.done():
            self.ready.set_exception(ConnectFailedError("closed-at-once", detail))
            self.ready.exception()  # read: nobody may be waiting for it
        for stream in list(self._exchanges):
            self._fail(stream, UnansweredError(self._end_reason, detail))
        self._retire()
        if not self.closed.done():
            self.closed.set_result(None)
