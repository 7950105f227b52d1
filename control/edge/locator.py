"""Finds the servers of a PBX by DNS (RFC 3263): NAPTR, SRV, A and AAAA, each within its own time."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from control.domain.connection import AUTO, WIRE_TRANSPORTS, is_address
from control.domain.sip_address import parse
from control.domain.targets import Hop, Located, Route
from control.edge.errors import HostNotFoundError, NameServerError

QUERY_S = 3.0  # how long one question may take, over all name servers
HOSTS_FILE = Path("/etc/hosts")
HOSTS_TTL_S = 60.0

_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}
_SRV = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_NAPTR = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}  # RFC 3263 §4.1
_FOREVER = 1e9
_RANK = 65_536  # more than any SRV priority: what a better NAPTR record names is tried first


@dataclass(frozen=True)
class Found:
    """What DNS says of a route, and for how many seconds it holds."""

    located: Located
    ttl: float


class Locator:
    """Asks the name servers of /etc/resolv.conf, after /etc/hosts; ``resolver`` makes the one that asks."""

    def __init__(
        self,
        resolver: Callable[[], dns.asyncresolver.Resolver] = dns.asyncresolver.Resolver,
        hosts_file: Path = HOSTS_FILE,
    ) -> None:
        self._resolver = resolver
        self._hosts_file = hosts_file

    async def locate(self, route: Route) -> Found:
        """The servers of a route. Raises HostNotFoundError, NameServerError."""
        try:
            question = _Question(self._resolver(), _read_hosts(self._hosts_file))
        except dns.resolver.NoResolverConfiguration:
            raise NameServerError("there is no name server in /etc/resolv.conf") from None
        if not route.outbound_proxy:
            hops = await question.hops(route.host, route.port, route.transport)
            sources = await question.sources(route.host)
            return Found(_located(hops, sources), question.ttl)
        proxy = parse("outbound_proxy", route.outbound_proxy, WIRE_TRANSPORTS)
        hops = await question.hops(proxy.host, proxy.port, proxy.transport or route.transport)
        # Calls may come past the proxy, straight from the PBX.
        try:
            behind = await question.hops(route.host, route.port, route.transport)
        except (HostNotFoundError, NameServerError):
            behind = []
        sources = [*await question.sources(proxy.host), *await question.sources(route.host)]
        return Found(_located(hops, [*sources, *(hop.address for hop in behind)]), question.ttl)


def _located(hops: Sequence[Hop], sources: Iterable[str]) -> Located:
    found = {hop.address for hop in hops} | set(sources)
    return Located(tuple(hops), tuple(sorted(found)))


class _Question:
    """All that is asked for one route; ``ttl`` is the shortest of the answers'."""

    def __init__(self, resolver: dns.asyncresolver.Resolver, hosts: dict[str, list[str]]) -> None:
        self._resolver = resolver
        self._hosts = hosts
        self.ttl = _FOREVER

    async def hops(self, host: str, port: int, transport: str) -> list[Hop]:
        """The servers of a host. A port that is given says that there is no SRV to look for (RFC 3263 §4.2)."""
        if is_address(host) or port:
            wire = "udp" if transport == AUTO else transport
            return _in_order(await self._addresses(host), port or _PORTS[wire], wire)
        if transport == AUTO:
            named = await self._by_naptr(host)
            if named:
                return named
        for wire in WIRE_TRANSPORTS if transport == AUTO else (transport,):
            named = await self._by_srv(f"{_SRV[wire]}.{host}", wire, rank=0)
            if named:
                return named
        wire = "udp" if transport == AUTO else transport
        return _in_order(await self._addresses(host), _PORTS[wire], wire)

    async def sources(self, host: str) -> list[str]:
        """The addresses of the host itself, if it has any: calls may come from there whatever SRV says."""
        try:
            return await self._addresses(host)
        except (HostNotFoundError, NameServerError):
            return []

    async def _by_naptr(self, host: str) -> list[Hop]:
        records = await self._ask(host, dns.rdatatype.NAPTR)
        usable = [
            r
            for r in records
            if r.flags.upper() == b"S" and r.service.decode("ascii", "replace").upper() in _NAPTR
        ]
        usable.sort(key=lambda r: (r.order, r.preference))
        hops: list[Hop] = []
        for rank, record in enumerate(usable):
            wire = _NAPTR[record.service.decode("ascii").upper()]
            hops += await self._by_srv(str(record.replacement), wire, rank=rank)
        return hops

    async def _by_srv(self, name: str, transport: str, rank: int) -> list[Hop]:
        records = await self._ask(name, dns.rdatatype.SRV)
        if len(records) == 1 and str(records[0].target) == ".":
            raise HostNotFoundError(f"{name} says that there is no SIP service (RFC 2782: target is a dot)")
        hops: list[Hop] = []
        found = await asyncio.gather(*(self.sources(str(r.target).rstrip(".")) for r in records))
        for record, addresses in zip(records, found, strict=True):
            hops += [
                Hop(address, record.port, transport, rank * _RANK + record.priority, record.weight)
                for address in addresses
            ]
        return hops

    async def _addresses(self, host: str) -> list[str]:
        """IPv4 before IPv6, each sorted: an answer in another order is the same answer."""
        if is_address(host):
            return [host]
        name = host.rstrip(".").lower()
        if name in self._hosts:
            self.ttl = min(self.ttl, HOSTS_TTL_S)
            return self._hosts[name]
        answers = await asyncio.gather(
            self._ask(host, dns.rdatatype.A), self._ask(host, dns.rdatatype.AAAA), return_exceptions=True
        )
        found = [
            str(record.address)
            for answer in answers
            if not isinstance(answer, BaseException)
            for record in answer
        ]
        if found:
            return sorted(found, key=_sort_key)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        raise HostNotFoundError(f"the name {host} has no address")

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> list[Any]:
        """The records of a kind, none if there are none. Raises NameServerError."""
        # A name without a dot is one of the local network, to be completed as /etc/resolv.conf says.
        short = "." not in name and kind in (dns.rdatatype.A, dns.rdatatype.AAAA)
        try:
            answer = await self._resolver.resolve(
                name, kind, raise_on_no_answer=False, lifetime=QUERY_S, search=short
            )
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError) as error:
            said = str(error) or type(error).__name__
            raise NameServerError(f"no answer for {dns.rdatatype.to_text(kind)} {name}: {said}") from None
        if answer.rrset is None:
            return []
        self.ttl = min(self.ttl, float(answer.rrset.ttl))
        return list(answer.rrset)


def _in_order(addresses: Sequence[str], port: int, transport: str) -> list[Hop]:
    return [Hop(address, port, transport, order) for order, address in enumerate(addresses)]


def _sort_key(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)


def _read_hosts(path: Path) -> dict[str, list[str]]:
    """The names of a hosts file (hosts(5)) with their addresses; one that cannot be read has none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if is_address(address):
            for name in names:
                found.setdefault(name.lower(), []).append(address)
    return {name: sorted(set(addresses), key=_sort_key) for name, addresses in found.items()}


def default_port(transport: str) -> int:
    """The port of a transport when nobody says another (RFC 3261 §19.1.2)."""
    return _PORTS[transport]
