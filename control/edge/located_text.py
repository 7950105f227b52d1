"""Where routes lead, as text for projection.db."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple

from control.domain.targets import Hop, Located, Route


def write_route(route: Route) -> str:
    """A route as text; equal routes are equal texts."""
    return json.dumps(astuple(route))


def read_route(text: str) -> Route:
    """The inverse of ``write_route``."""
    return Route(*json.loads(text))


def write(located: Located) -> str:
    """The servers of a route as text."""
    return json.dumps({"hops": [asdict(hop) for hop in located.hops], "sources": located.sources})


def read(text: str) -> Located:
    """The inverse of ``write``."""
    raw = json.loads(text)
    return Located(tuple(Hop(**hop) for hop in raw["hops"]), tuple(raw["sources"]))
