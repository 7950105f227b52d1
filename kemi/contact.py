"""The Contact header of a device: what it says of push (RFC 8599), and what of it may travel on to a PBX. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

# Parameters of the device's own: where to push to is no business of a PBX (RFC 8599, 8).
_PRIVATE = re.compile(r";(?:pn-[a-z0-9-]+|app-id|pn-type|pn-tok)(?:=[^;>?\s]*)?", re.IGNORECASE)
_PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "sctp": 4, "ws": 5, "wss": 6}


@dataclass(frozen=True)
class Contact:
    """One contact: its URI, URI parameters (lower-case names, unescaped values) and header parameters."""

    uri: str
    parameters: dict[str, str]
    attributes: dict[str, str]

    @property
    def instance(self) -> str:
        """``+sip.instance`` without its quotes and brackets, ``""`` when absent (RFC 5626)."""
        return self.attributes.get("+sip.instance", "").strip('"<>')


def _parameters(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(";") if item)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def parse(header: str) -> Contact:
    """Read the first contact of a header body. Never fails: what cannot be read is absent."""
    before, bracket, rest = header.partition("<")
    if bracket:
        uri, _, tail = rest.partition(">")
    else:
        uri, _, tail = before.strip().partition(";")
    _, _, parameters = uri.partition(";")
    return Contact(uri, _parameters(parameters.partition("?")[0]), _parameters(tail.split(",")[0]))


def for_pbx(header: str, source: str, port: int, protocol: str, aliased: bool) -> str:
    """The Contact as the PBX may see it: push parameters removed and, when ``aliased``, the flow it came by added.

    The alias has the form module nathelper reads: ``alias=address~port~protocol number``.
    """
    public = _PRIVATE.sub("", header)
    if not aliased:
        return public
    alias = f";alias={source}~{port}~{_PROTOCOLS.get(protocol.lower(), 1)}"
    head, bracket, tail = public.partition(">")
    if bracket:
        return f"{head}{alias}>{tail}"
    uri, semicolon, attributes = public.partition(";")
    return f"<{uri}{alias}>{semicolon}{attributes}"
