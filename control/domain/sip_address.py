"""The host, port and transport of a ``sip:`` URI that a person has typed, as of an outbound proxy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from control.domain.errors import InvalidFieldError
from control.domain.text import checked_number, checked_text

_URI = re.compile(
    r"sip:(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:;@?]+))(?::(?P<port>\d{1,5}))?(?P<rest>;.*)?"
)


@dataclass(frozen=True)
class SipAddress:
    """A place in the network. ``port`` 0: DNS says it. ``transport`` empty: that of the connection."""

    host: str
    port: int = 0
    transport: str = ""


def parse(field: str, value: str, transports: tuple[str, ...]) -> SipAddress:
    """Read ``sip:host[:port][;transport=…][;lr]``. The host is not checked yet. Raises InvalidFieldError."""
    checked_text(field, value, maximum=300)
    if value.startswith("sips:"):
        raise InvalidFieldError(field, "write sip:…;transport=tls instead of sips:")
    match = _URI.fullmatch(value)
    if match is None:
        raise InvalidFieldError(field, f"{value!r} is not of the form sip:host:port;transport=tcp")
    transport = ""
    for parameter in (match["rest"] or "").split(";")[1:]:
        name, _, wanted = parameter.partition("=")
        if name.lower() == "transport" and not transport:
            transport = wanted.lower()
        elif name.lower() != "lr":
            raise InvalidFieldError(field, f"the parameter {parameter!r} is not known here")
    if transport and transport not in transports:
        raise InvalidFieldError(field, f"transport {transport!r} is not one of {', '.join(transports)}")
    port = 0 if match["port"] is None else checked_number(field, int(match["port"]), 1, 65535)
    return SipAddress(match["v6"] or match["host"], port, transport)
