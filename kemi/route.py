"""The Route of a request within a dialog: where its first entry points, and how to point it at us again. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_FIRST = re.compile(
    r"(?P<before>[^<]*<sips?:(?:[^@>;]*@)?)(?P<host>\[[^\]>]*\]|[^:;>]+)(?::(?P<port>\d+))?(?P<parameters>[^>]*)>"
)
_TRANSPORT = re.compile(r";transport=([a-z]+)", re.IGNORECASE)


class First(NamedTuple):
    """The first entry: its address and transport as a URI, and the transport alone, in lower case."""

    uri: str
    transport: str


def first(routes: str) -> First | None:
    """The first entry of Route headers joined by commas; None when there is none that can be read."""
    found = _FIRST.match(routes)
    if found is None:
        return None
    asked = _TRANSPORT.search(found["parameters"])
    transport = asked[1].lower() if asked else "udp"
    port = f":{found['port']}" if found["port"] else ""
    return First(f"sip:{found['host']}{port};transport={transport}", transport)


def moved(routes: str, host: str, port: int) -> str:
    """The same headers with another address in the first entry; its parameters and all other entries stay."""
    found = _FIRST.match(routes)
    if found is None:
        return routes
    return f"{found['before']}{host}:{port}{routes[found.start('parameters') :]}"
