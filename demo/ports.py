"""Ports for servers of the demo and the tests."""

from __future__ import annotations

import random
import socket
from collections.abc import Container

# Below the ports that Linux gives to outgoing connections (32768 and up, ip(7)), and below those for audio: a
# server that is restarted finds its port again, whatever the phones have opened in between.
_CANDIDATES = range(10000, 20000)
RTP_OF_PBX = (20000, 20999)
RELAY_OF_TURN = (21000, 21999)
RTP_OF_RTPENGINE = ((30000, 31999), (32000, 32699))  # of the first, and of a second one


def free_ports(address: str, count: int, besides: Container[int] = ()) -> list[int]:
    """Ports that are free for UDP and TCP on this address, each different, and none of those that are promised already."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_CANDIDATES)
        if port not in found and port not in besides and _is_free(address, port):
            found.append(port)
    return found


def _is_free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
