"""Names of PBX hosts to IP addresses, away from the SIP path: Kamailio is only ever given addresses."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import structlog

log = structlog.get_logger(__name__)

REFRESH_S = 60.0
LOOKUP_S = 5.0

Lookup = Callable[[str], Awaitable[list[str]]]


async def system_lookup(host: str) -> list[str]:
    """IPv4 before IPv6, each sorted, so that an answer in another order is the same answer. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    addresses = {(family == socket.AF_INET6, str(sockaddr[0])) for family, _, _, _, sockaddr in found}
    return [address for _, address in sorted(addresses)]


class Resolver:
    """Addresses of hosts, kept when a refresh fails: a name server that is down takes no PBX away.

    ``addresses`` is what is known, at first ``known`` of an earlier life; a host that was never found is
    absent. ``on_change`` is called when a refresh brought other addresses. ``counters`` counts ``failed``.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        lookup: Lookup = system_lookup,
        known: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._on_change = on_change
        self._lookup = lookup
        self.addresses: dict[str, Sequence[str]] = dict(known or {})
        self._hosts: frozenset[str] = frozenset()
        self.counters: Counter[str] = Counter()

    async def need(self, hosts: Iterable[str]) -> None:
        """From now on these hosts are looked up; returns once the new ones have been tried."""
        wanted = frozenset(hosts)
        new = wanted - self._hosts
        self._hosts = wanted
        if new:
            await asyncio.gather(*(self._refresh(host) for host in sorted(new)))

    async def run(self) -> None:
        """Look all hosts up again once a minute, for ever."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self.refresh()

    async def refresh(self) -> None:
        """Look all hosts up again."""
        before = dict(self.addresses)
        await asyncio.gather(*(self._refresh(host) for host in sorted(self._hosts)))
        if self.addresses != before:
            self._on_change()

    async def _refresh(self, host: str) -> None:
        try:
            async with asyncio.timeout(LOOKUP_S):
                found = await self._lookup(host)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            self.counters["failed"] += 1
            log.warning("lookup-failed", host=host, error=str(error) or f"no answer within {LOOKUP_S} s")
            return
        if found:
            self.addresses[host] = found
