"""Says that the edge agent is at work: a file for `nightbell up`, a datagram for systemd."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def ready(path: Path, boot: str) -> Iterator[None]:
    """Ready for as long as the block runs; the file holds this incarnation's id."""
    path.write_text(f"{boot}\n", encoding="ascii")
    notify("READY=1")
    try:
        yield
    finally:
        notify("STOPPING=1")
        path.unlink(missing_ok=True)


def notify(state: str) -> None:
    """Tell systemd, if it started us (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.sendto(state.encode(), address)
