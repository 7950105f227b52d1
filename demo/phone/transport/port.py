"""The port every transport fulfils: what the rest of the phone knows of sockets."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

Address = tuple[str, int]  # IP address, port
OnData = Callable[[bytes, Address], None]  # one SIP message, and whom it came from
OnLost = Callable[[str], None]  # why


class Transport(Protocol):
    """An open way to the server."""

    via: str  # the transport's name in a Via, "UDP" for example
    reliable: bool  # whether the transport itself repeats what was lost
    sent_by: str  # host and port for a Via
    contact: str  # host, port and parameters for a Contact URI

    def send(self, data: bytes, destination: Address) -> None:
        """Send one message without waiting; a connected transport ignores ``destination``."""

    async def close(self) -> None:
        """Close every socket, silently."""


def client_tls(ca_file: str | Path | None) -> ssl.SSLContext:
    """A context that verifies the server: by this CA, or by the system's when None."""
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
