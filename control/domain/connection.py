"""A PBX account or trunk as a person describes it, and what is refused when it is saved."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from control.domain import sip_address
from control.domain.codecs import checked_codecs
from control.domain.dtmf import PBX_DTMF
from control.domain.errors import InvalidFieldError
from control.domain.secret import Secret
from control.domain.targets import Route
from control.domain.text import checked_number, checked_text, one_of

AUTO = "auto"  # as the PBX's NAPTR records say (RFC 3263 §4.1)
WIRE_TRANSPORTS = ("udp", "tcp", "tls")
TRANSPORTS = (*WIRE_TRANSPORTS, AUTO)
MEDIA = ("relay", "direct")
ALWAYS, WHILE_AWAKE, SINGLE_CONTACT, TRUNK = "always", "while-awake", "single-contact", "trunk"
STRATEGIES = (ALWAYS, WHILE_AWAKE, SINGLE_CONTACT, TRUNK)
DEFAULT_EXPIRES = 600  # seconds
DEFAULT_WAIT = 20.0  # seconds; a phone was seen to need 8 to 10

# A change of one of these means to register anew; any other leaves the registration alone.
REGISTERED_BY = (
    "host",
    "port",
    "transport",
    "domain",
    "user",
    "auth_user",
    "password",
    "realm",
    "expires",
    "register",
    "strategy",
    "outbound_proxy",
)
# Another PBX has another realm: what was learnt from the old one is forgotten.
LOCATED_BY = ("host", "port", "transport", "domain", "outbound_proxy")

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# RFC 3261 §25.1, user: unreserved, user-unreserved and escaped.
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+")
_NUMBER = re.compile(r"\+?[*#A-Za-z0-9][*#A-Za-z0-9._-]*")


@dataclass(frozen=True)
class ConnectionSpec:
    """One account or trunk at a PBX. Building it checks it: raises InvalidFieldError naming the field.

    ``host`` is a name or an IP address; ``port`` None: as the PBX's SRV records say, else the transport's own.
    ``domain`` is the PBX's SIP domain, its host unless given; ``auth_user`` the digest username, ``user`` unless given;
    ``realm`` empty: learnt from the PBX's first challenge. ``expires`` and ``wait`` (how long a call is held for a
    sleeping device) are in seconds. ``inbound``: the PBX registers here; then ``host`` may be empty. ``numbers`` of a
    trunk are pairs of a number and the user it rings. ``codecs``: the only ones the PBX is offered, the best first, separated
    by commas; empty: any. ``dtmf``: how it gets keys that a device sends by INFO, one of ``PBX_DTMF``.
    """

    name: str
    host: str
    user: str
    password: Secret
    port: int | None = None
    transport: str = "udp"
    domain: str = ""
    auth_user: str = ""
    realm: str = ""
    expires: int = DEFAULT_EXPIRES
    register: bool = True
    media: str = "relay"
    early_ringing: bool = True
    wait: float = DEFAULT_WAIT
    users: tuple[str, ...] = field(default=())
    strategy: str = ALWAYS
    inbound: bool = False
    outbound_proxy: str = ""
    numbers: tuple[tuple[str, str], ...] = field(default=())
    codecs: str = ""
    dtmf: str = "auto"

    def __post_init__(self) -> None:
        checked_text("name", self.name, maximum=64)
        one_of("strategy", self.strategy, STRATEGIES)
        # A PBX that registers here may be anywhere; every other one must be somewhere.
        if self.host or not (self.inbound and self.strategy == TRUNK):
            checked_host("host", self.host)
        if self.domain or not self.host:
            checked_host("domain", self.domain)
        if self.port is not None:
            checked_number("port", self.port, 1, 65535)
        one_of("transport", self.transport, TRANSPORTS)
        one_of("media", self.media, MEDIA)
        checked_codecs(self.codecs)
        one_of("dtmf", self.dtmf, PBX_DTMF)
        _checked_user(self.user)
        _quotable("auth_user", self.auth_user)
        _quotable("realm", self.realm)
        checked_text("password", self.password.reveal(), maximum=256, minimum=1 if self.registers else 0)
        checked_number("expires", self.expires, 60, 86400, " seconds")
        if not 1 <= self.wait <= 120:
            raise InvalidFieldError("wait", f"{self.wait:g} is not between 1 and 120 seconds")
        if self.outbound_proxy:
            proxy = sip_address.parse("outbound_proxy", self.outbound_proxy, WIRE_TRANSPORTS)
            checked_host("outbound_proxy", proxy.host)
        for number, _ in self.numbers:
            checked_trunk_number(number)
        if self.numbers and self.strategy != TRUNK:
            raise InvalidFieldError("numbers", "only a connection of strategy trunk has numbers of its own")

    @property
    def sip_domain(self) -> str:
        """The domain of the account's address at the PBX."""
        return self.domain or self.host

    @property
    def digest_user(self) -> str:
        """The digest username at the PBX."""
        return self.auth_user or self.user

    @property
    def registers(self) -> bool:
        """Whether there is to be a registration at the PBX."""
        return self.register and self.strategy != TRUNK

    @property
    def route(self) -> Route:
        """Where its requests go."""
        return Route(self.host, self.port or 0, self.transport, self.outbound_proxy)


def checked_host(field: str, value: str) -> str:
    """A host name or an IP address (IPv6 without brackets). Raises InvalidFieldError."""
    checked_text(field, value, maximum=253)
    if is_address(value):
        return value
    labels = value.removesuffix(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise InvalidFieldError(field, f"{value!r} is neither a host name nor an IP address")
    return value


def is_address(host: str) -> bool:
    """Whether a host is an IP address already, so that there is nothing to resolve."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def checked_trunk_number(value: str) -> str:
    """A number as the PBX writes it in the INVITE's Request-URI. Raises InvalidFieldError."""
    checked_text("number", value, maximum=64)
    if not _NUMBER.fullmatch(value):
        raise InvalidFieldError(
            "number",
            f"{value!r} is not a number: digits, letters, *, #, dots and hyphens, after + if need be",
        )
    return value


def _checked_user(value: str) -> None:
    checked_text("user", value, maximum=128)
    if not _USER.fullmatch(value):
        raise InvalidFieldError(
            "user", f"{value!r} has a character that a SIP user cannot have; write it escaped (%20)"
        )
    _no_socket_mark("user", value)


def _quotable(field: str, value: str) -> None:
    if not value:
        return
    checked_text(field, value, maximum=128)
    if '"' in value or "\\" in value:
        raise InvalidFieldError(field, "quotes and backslashes are not possible here")
    _no_socket_mark(field, value)


def _no_socket_mark(field: str, value: str) -> None:
    # Kamailio's tm writes its socket's address wherever a header it is handed holds two exclamation marks.
    if "!!" in value:
        raise InvalidFieldError(field, "two exclamation marks in a row are not possible here")
