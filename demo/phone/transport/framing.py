"""Cutting a byte stream into SIP messages (RFC 3261 §18.3), without any socket."""

from __future__ import annotations

import re

_LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d+)[ \t]*\r?$")


class Framer:
    """Collects bytes and gives whole messages; CRLF keep-alives between them are dropped (RFC 5626 §3.5.1)."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes; return the messages that are complete now. Without a Content-Length there is no body."""
        self._buffer += data
        messages: list[bytes] = []
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n")
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return messages
            length = _LENGTH.search(self._buffer[: end + 2])
            size = end + 4 + (int(length.group(1)) if length else 0)
            if len(self._buffer) < size:
                return messages
            messages.append(self._buffer[:size])
            self._buffer = self._buffer[size:]
