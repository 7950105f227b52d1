"""Kamailio's events: datagrams on loopback, each led by the secret that marks it as Kamailio's own."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections import Counter
from collections.abc import Callable

import structlog

from control.edge.errors import EventsSocketError
from kemi.wire import Event, WireError, decode_event

log = structlog.get_logger(__name__)

BUFFER_BYTES = 16 << 20  # a second of a busy edge, should this process be held up
_READ_AT_ONCE = 64  # datagrams per turn of the event loop, so that pushes and timers get theirs
_MAX_BYTES = 65_535


class Receiver:
    """Reads events and hands each to ``handle``; nothing that arrives can stop it.

    ``counters`` counts ``received``, ``wrong-key``, ``malformed`` and ``handler-error``.
    """

    def __init__(self, address: str, port: int, key: str, handle: Callable[[Event], None]) -> None:
        self._key = key.encode()
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._socket = _bind(address, port)
        self.counters: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The port that is bound; the kernel queues what arrives before ``start``."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Stop reading and free the port."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                datagram = self._socket.recv(_MAX_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("events-socket", error=str(error))
                return
            self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        key, _, message = datagram.partition(b" ")
        if not hmac.compare_digest(key, self._key):
            self._count("wrong-key", bytes=len(datagram))
            return
        try:
            event = decode_event(message)
        except (WireError, RecursionError) as error:
            self._count("malformed", error=str(error)[:200])
            return
        self.counters["received"] += 1
        try:
            self._handle(event)
        except Exception:  # the outermost loop: one bad event must not stop the next call
            self._count("handler-error", type=event.type)
            log.exception("event-failed", type=event.type)

    def _count(self, name: str, **detail: str | int) -> None:
        self.counters[name] += 1
        if self.counters[name].bit_count() == 1:  # 1, 2, 4, 8 …: a flood does not fill the log
            log.warning("event-dropped", why=name, count=self.counters[name], **detail)


def _bind(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    with contextlib.suppress(OSError):  # past the system's limit, as root only
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), BUFFER_BYTES)
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise EventsSocketError(
            f"cannot listen for Kamailio's events at {address}:{port}: {error.strerror}; "
            "is another edge agent running? (edge.events_port in nightbell.toml)"
        ) from None
    return sock
