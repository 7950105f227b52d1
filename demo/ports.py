"""Ports for servers of the demo and the tests."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 10000


def free_ports(address: str, count: int) -> list[int]:
    """Ports that are free for UDP and TCP on this address, each different.

    They are outside the range from which the kernel takes the ports of outgoing connections: a server that is
    restarted finds its port again, whatever the phones have opened in between.
    """
    found: list[int] = []
    candidates = range(_LOWEST, _first_ephemeral())
    while len(found) < count:
        port = random.choice(candidates)
        if port not in found and _is_free(address, port):
            found.append(port)
    return found


def _first_ephemeral() -> int:
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    first = int(text.split()[0])
    return first if first > _LOWEST + 1000 else 32768


def _is_free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
