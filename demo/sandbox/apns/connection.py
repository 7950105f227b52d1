"""One HTTP/2 connection of a sender (RFC 9113), on hyper-h2."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from demo.sandbox.apns.rules import Request
from demo.sandbox.apns.service import Answer, ApnsService
from demo.sandbox.orders import ONE_STREAM

STREAMS = 1000
# A body beyond this is counted but not kept: its answer is PayloadTooLarge anyway.
KEPT_BODY = 64 * 1024
_numbers = count(1)
# Our own answers need no checking: that is a tenth of the work of a push.
_CONFIGURATION = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


@dataclass
class _Stream:
    """One request while it comes in, and what is left of its answer while it goes out."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    timer: asyncio.TimerHandle | None = None
    unsent: bytes = b""


class ApnsConnection(asyncio.Protocol):
    """Speaks HTTP/2 with one sender.

    As Apple does with provider tokens, it allows one stream until a request has come with a valid token, and
    ``STREAMS`` from then on ("Sending notification requests to APNs").
    """

    def __init__(
        self, service: ApnsService, clock: Callable[[], float], connections: set[ApnsConnection]
    ) -> None:
        self.number = next(_numbers)
        self._service = service
        self._clock = clock
        self._connections = connections
        # Header bytes are decoded below, leniently: an odd byte is a bad header, not a broken connection.
        self._h2 = H2Connection(_CONFIGURATION)
        self._streams: dict[int, _Stream] = {}
        self._key_id = ""
        self._announced = 1
        self._last_processed = 0
        self._draining = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Announce our settings."""
        self._transport = cast(asyncio.Transport, transport)
        if self._selected_protocol() != "h2":
            self._transport.abort()
            return
        self._connections.add(self)
        self._h2.local_settings = Settings(client=False, initial_values=_settings(self._announced))
        self._h2.initiate_connection()
        # A sender may not have read our settings yet: until it acknowledges them it is not held to them.
        self._h2.local_settings = Settings(client=False, initial_values=_settings(STREAMS))
        self._h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = self._announced
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was waiting."""
        self._connections.discard(self)
        for stream in self._streams.values():
            if stream.timer:
                stream.timer.cancel()
        self._streams.clear()
        self._transport = None

    def pause_writing(self) -> None:
        """The sender does not read its answers: take no more of its requests until it does."""
        if self._transport:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The sender reads again."""
        if self._transport:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Work through the frames that have come."""
        received_at = self._clock()
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._flush()  # the GOAWAY that says what was wrong
            self._close()
            return
        for event in events:
            self._handle(event, received_at)
        self._flush()
        self._close_when_drained()

    def limit_streams(self) -> None:
        """Announce the number of streams that holds now, if it has changed."""
        one = not self._key_id or self._service.orders.standing("apns", ONE_STREAM)
        streams = 1 if one else STREAMS
        if streams != self._announced and self._transport:
            self._announced = streams
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
            self._flush()

    def go_away(self) -> None:
        """Say goodbye (RFC 9113 §6.8): nothing new is taken, what is being processed is still answered."""
        if self._draining or not self._transport:
            return
        self._draining = True
        self._flush()
        # By hand, because hyper-h2 answers nothing any more once it has sent a GOAWAY itself.
        frame = GoAwayFrame(
            stream_id=0,
            last_stream_id=self._last_processed,
            error_code=ErrorCodes.NO_ERROR,
            additional_data=b'{"reason":"Shutdown"}',
        )
        self._transport.write(frame.serialize())
        self._close_when_drained()

    def close(self) -> None:
        """End the connection with a GOAWAY, without waiting for what is being processed."""
        self.go_away()
        self._close()

    def _selected_protocol(self) -> str | None:
        ssl_object = self._transport.get_extra_info("ssl_object") if self._transport else None
        return ssl_object.selected_alpn_protocol() if ssl_object else None

    def _handle(self, event: Event, received_at: float) -> None:
        if isinstance(event, RequestReceived):
            if not self._draining:
                self._streams[event.stream_id] = _Stream(headers=_decoded(event.headers))
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            stream = self._streams.get(event.stream_id)
            if stream and len(stream.body) <= KEPT_BODY:
                stream.body += event.data
        elif isinstance(event, StreamEnded):
            if event.stream_id in self._streams:
                self._process(event.stream_id, received_at)
        elif isinstance(event, StreamReset):
            self._forget(event.stream_id)
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            for stream_id in [number for number, stream in self._streams.items() if stream.unsent]:
                self._send_body(stream_id)
        elif isinstance(event, ConnectionTerminated):
            self._draining = True

    def _process(self, stream_id: int, received_at: float) -> None:
        stream = self._streams[stream_id]
        request = _request(stream)
        answer = self._service.answer(request, received_at, self.number, self._key_id)
        if answer.key_id and not self._key_id:
            self._key_id = answer.key_id
            self.limit_streams()
        if answer.delay:
            self._last_processed = max(self._last_processed, stream_id)
            loop = asyncio.get_running_loop()
            stream.timer = loop.call_later(answer.delay, self._act_late, stream_id, answer)
        else:
            self._act(stream_id, answer)

    def _act_late(self, stream_id: int, answer: Answer) -> None:
        self._act(stream_id, answer)
        self._flush()
        self._close_when_drained()

    def _act(self, stream_id: int, answer: Answer) -> None:
        if stream_id not in self._streams:
            return
        if answer.fault == "goaway":
            self._refuse_by_goaway(stream_id)
            return
        self._last_processed = max(self._last_processed, stream_id)
        if answer.fault == "hang":
            return
        if answer.fault == "close":
            self._close()
            return
        if answer.fault == "rst_stream":
            self._forget(stream_id)
            self._h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            return
        self._h2.send_headers(stream_id, answer.headers, end_stream=not answer.body)
        self._streams[stream_id].unsent = answer.body
        self._send_body(stream_id)
        self._service.answered(answer)

    def _refuse_by_goaway(self, stream_id: int) -> None:
        """Go away without having processed this stream, so that its sender may try again elsewhere."""
        self._forget(stream_id)
        if stream_id < self._last_processed:
            # The last stream id promises nothing about this one: say it for the stream alone (RFC 9113 §8.7).
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        for number in [number for number in self._streams if number > self._last_processed]:
            self._forget(number)
        self.go_away()

    def _send_body(self, stream_id: int) -> None:
        """Send as much of an answer as the sender's windows allow; the rest follows its WINDOW_UPDATE."""
        stream = self._streams[stream_id]
        while stream.unsent:
            room = min(
                self._h2.local_flow_control_window(stream_id),
                self._h2.max_outbound_frame_size,
                len(stream.unsent),
            )
            if room <= 0:
                return
            chunk, stream.unsent = stream.unsent[:room], stream.unsent[room:]
            self._h2.send_data(stream_id, chunk, end_stream=not stream.unsent)
        del self._streams[stream_id]

    def _forget(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream and stream.timer:
            stream.timer.cancel()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport:
            self._transport.write(data)

    def _close_when_drained(self) -> None:
        if self._draining and not self._streams:
            self._close()

    def _close(self) -> None:
        if self._transport:
            self._transport.close()


def _settings(streams: int) -> dict[SettingCodes, int]:
    return {
        SettingCodes.MAX_CONCURRENT_STREAMS: streams,
        SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
    }


def _decoded(headers: object) -> list[tuple[str, str]]:
    pairs = cast("list[tuple[bytes, bytes]]", headers)
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]


def _request(stream: _Stream) -> Request:
    headers = dict(stream.headers)
    return Request(
        method=headers.pop(":method", ""),
        path=headers.pop(":path", ""),
        headers=headers,
        body=bytes(stream.body),
        repeated=len(headers) + 2 < len(stream.headers),
    )
