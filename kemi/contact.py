"""The Contact header of a device: what it says of push (RFC 8599), and what of it may travel on to a PBX. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

# Parameters of the device's own: where to push to is no business of a PBX (RFC 8599, 13). The PURR alone is made to travel.
_PRIVATE = re.compile(r"\s*(?:pn-(?!purr\s*=).*|app-id|pn-type|pn-tok)\s*(?:=.*)?", re.IGNORECASE | re.DOTALL)
# A semicolon that is not within quotes.
_SEMICOLON = re.compile(r';(?=(?:[^"]*"[^"]*")*[^"]*$)')
# An optional display name, then the URI in its brackets, then the parameters of the header.
_BRACKETED = re.compile(r'((?:\s*"(?:[^"\\]|\\.)*"|[^"<,;]*)\s*<)([^>]*)(>)(.*)', re.DOTALL)
_HOST = re.compile(r"sips?:(?:[^@;?]*@)?(\[[^\]]*\]|[^:;?]*)(?::(\d{1,5}))?", re.IGNORECASE | re.ASCII)
_PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "sctp": 4, "ws": 5, "wss": 6}


class Contact(NamedTuple):
    """One contact: its URI, URI parameters (lower-case names, unescaped values) and header parameters."""

    uri: str
    parameters: dict[str, str]
    attributes: dict[str, str]

    @property
    def instance(self) -> str:
        """``+sip.instance`` without its quotes and brackets, ``""`` when absent (RFC 5626)."""
        return self.attributes.get("+sip.instance", "").strip('"<>')


def host_and_port(header: str) -> tuple[str, int]:
    """Where the first contact of a header body is; ``("", 0)`` when that cannot be read."""
    found = _HOST.match(parse(header).uri)
    return (found[1].strip("[]"), int(found[2] or 5060)) if found else ("", 0)


def transport_of(uri: str) -> str:
    """The transport a SIP URI asks for, in lower case; ``udp`` when it does not say."""
    return uri.partition(";transport=")[2].partition(";")[0].lower() or "udp"


def _parameters(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(";") if item)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def _split(header: str) -> tuple[str, str, str, str]:
    """A contact as (what is before the URI, the URI, the bracket after it, header parameters)."""
    found = _BRACKETED.fullmatch(header)
    if found:
        return found[1], found[2], found[3], found[4]
    uri, semicolon, attributes = header.partition(";")
    return "", uri.strip(), "", semicolon + attributes


@lru_cache(maxsize=4096)
def parse(header: str) -> Contact:
    """Read the first contact of a header body. Never fails: what cannot be read is absent."""
    _, uri, _, tail = _split(header)
    _, _, parameters = uri.partition(";")
    return Contact(uri, _parameters(parameters.partition("?")[0]), _parameters(_first(tail)))


def _first(tail: str) -> str:
    """The header parameters of the first contact of several."""
    return re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', tail, maxsplit=1)[0]


def _public(parameters: str) -> str:
    """A list of parameters without those that are the device's own."""
    first, *rest = _SEMICOLON.split(parameters)
    return ";".join([first, *(item for item in rest if not _PRIVATE.fullmatch(item))])


def count(header: str) -> int:
    """How many contacts there are in a Contact header, separated by commas. One pass, whatever the text is."""
    number, quoted, bracketed, escaped = 1, False, False, False
    for letter in header if "," in header else "":
        if escaped:
            escaped = False
        elif letter == '"' and not bracketed:
            quoted = not quoted
        elif quoted:
            escaped = letter == "\\"
        elif letter in "<>":
            bracketed = letter == "<"
        elif letter == "," and not bracketed:
            number += 1
    return number if header.strip() else 0


@lru_cache(maxsize=4096)
def for_pbx(header: str, source: str, port: int, protocol: str, aliased: bool) -> str:
    """The Contact as the PBX may see it: push parameters removed and, when ``aliased``, the flow it came by added.

    The alias has the form module nathelper reads: ``alias=address~port~protocol number``.
    """
    before, uri, bracket, tail = _split(header)
    plain, question, headers = uri.partition("?")
    alias = f";alias={source}~{port}~{_PROTOCOLS.get(protocol.lower(), 1)}" if aliased else ""
    if alias and not bracket:
        before, bracket = "<", ">"
    return f"{before}{_public(plain)}{alias}{question}{headers}{bracket}{_public(tail)}"
