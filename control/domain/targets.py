"""Where a PBX is: the addresses to send to and those its calls may come from, as DNS has answered."""

from __future__ import annotations

import hashlib
import ipaddress
import math
from dataclasses import dataclass

MAX_ALTERNATIVES = 4  # a PBX with more servers than that is better served by the next look at DNS


@dataclass(frozen=True, order=True)
class Route:
    """What of a connection decides where its requests go. ``port`` 0: DNS says it; ``transport`` ``auto``: so does it."""

    host: str
    port: int
    transport: str
    outbound_proxy: str = ""


@dataclass(frozen=True)
class Targets:
    """Where the requests of one connection go, and where those of its PBX may come from.

    ``next_hop`` and ``alternatives`` are SIP URIs whose host is an IP address, in the order of trying; ``sources`` are
    IP addresses.
    """

    next_hop: str
    alternatives: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hop:
    """One server of a PBX. Lower ``priority`` first; within one, each gets its ``weight``'s share (RFC 2782)."""

    address: str
    port: int
    transport: str
    priority: int = 0
    weight: int = 0

    @property
    def uri(self) -> str:
        """The server as a SIP URI."""
        host = f"[{self.address}]" if ipaddress.ip_address(self.address).version == 6 else self.address
        return f"sip:{host}:{self.port};transport={self.transport}"


@dataclass(frozen=True)
class Located:
    """All servers of a route, and the addresses its PBX may call from."""

    hops: tuple[Hop, ...]
    sources: tuple[str, ...]

    def targets(self, connection: str) -> Targets | None:
        """The servers in the order in which this connection tries them; None if there is none.

        Connections spread over servers of one priority by weight, and each stays with its server for as long as DNS
        names it: what changes there moves only those who must move (rendezvous hashing).
        """
        ordered = sorted(self.hops, key=lambda hop: (hop.priority, _distance(connection, hop)))
        uris = tuple(dict.fromkeys(hop.uri for hop in ordered))
        if not uris:
            return None
        return Targets(uris[0], uris[1 : 1 + MAX_ALTERNATIVES], tuple(sorted(set(self.sources))))


def _distance(connection: str, hop: Hop) -> float:
    digest = hashlib.blake2b(f"{connection} {hop.uri}".encode(), digest_size=8).digest()
    chance = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    # RFC 2782: a weight of 0 has a very small chance beside others.
    return -math.log(chance) / (hop.weight or 0.001)
