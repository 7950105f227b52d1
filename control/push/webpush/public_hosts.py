"""A subscription names the host that we send to: it must not lead into networks that only we can reach (SSRF)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

import dns.asyncresolver
import dns.exception
import dns.resolver
from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUP = 3.0  # seconds for all questions about one name

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """The host is, or resolves to, nothing but addresses that are not public."""


class Allowed:
    """Which addresses may be sent to: public ones, and those in ``private`` networks (CIDR)."""

    def __init__(self, private: Iterable[str]) -> None:
        self._private: list[_Network] = [ipaddress.ip_network(network) for network in private]

    def address(self, text: str) -> bool:
        """Whether this address may be sent to."""
        address = ipaddress.ip_address(text)
        return _is_public(address) or any(address in network for network in self._private)

    def host(self, host: str) -> bool:
        """Whether a host may be asked for; what a name leads to is seen when it is resolved."""
        try:
            return self.address(host)
        except ValueError:
            return True


class PublicResolver(AbstractResolver):
    """Resolves names to addresses that may be sent to. Asks name servers itself: no thread waits for a mute one."""

    def __init__(self, allowed: Allowed, resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._allowed = allowed
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError: PrivateAddressError when there are addresses, but none that may be sent to."""
        try:
            if self._resolver is None:
                self._resolver = dns.asyncresolver.Resolver()
            found = await self._resolver.resolve_name(host, family, lifetime=LOOKUP)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise OSError(None, f"{host}: {error}") from None
        every = list(found.addresses_and_families())
        public = [(address, kind) for address, kind in every if self._allowed.address(address)]
        if every and not public:
            raise PrivateAddressError(None, f"{host} leads to no public address")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
            for address, kind in public
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast
