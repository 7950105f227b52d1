"""Tells the edge agent what happened: one datagram, never waiting. A lost one costs a line of a journal, never a call."""

from __future__ import annotations

import socket
import time

from kemi import wire
from kemi.settings import Settings

# How each CallEvent begins.
_CALL_EVENT = wire.event_head(wire.CallEvent)


class Events:
    """The way out for events, one per process."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.events_key + " "
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(
            settings.events_address
        )  # saves the kernel, and Python, looking at the address each time
        self.lost = 0

    def send(self, event: wire.Event) -> None:
        """Send an event; counted in ``lost`` when the kernel will not take it."""
        self.send_encoded(event.encode())

    def send_encoded(self, text: str) -> None:
        """Send an event that is already JSON."""
        datagram = (self._prefix + text).encode()
        try:
            self._socket.send(datagram)
        except ConnectionRefusedError:
            self._send_again(datagram)
        except OSError:
            self.lost += 1

    def _send_again(self, datagram: bytes) -> None:
        """What was refused is an earlier datagram, that came while nobody listened; this one has not left yet."""
        try:
            self._socket.send(datagram)
        except OSError:
            self.lost += 1

    def call(self, call: str, step: str, **fields: str | int) -> None:
        """Send one step of a call's journal: a wire.CallEvent, of which only what is said is written.

        ``call`` and ``step`` are words of our own, which JSON need not escape.
        """
        said = f",{wire.dumps(fields)[1:]}" if fields else "}"
        self.send_encoded(f'{_CALL_EVENT}"ts":{time.time()!r},"call":"{call}","step":"{step}"{said}')

    def count(self, name: str, detail: str = "") -> None:
        """Send a counter."""
        self.send(wire.CounterEvent(ts=time.time(), name=name, detail=detail[:300]))
