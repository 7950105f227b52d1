"""The bindings of one account: added, refreshed, removed, listed, and limited (RFC 3261, 10.3)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Binding:
    """A contact, bound until ``until`` (UNIX seconds); ``granted`` is what it was given last, in seconds."""

    until: float
    granted: int
    foreign: bool = False


@dataclass(slots=True)
class Bindings:
    """By contact URI, the oldest first."""

    by_uri: dict[str, Binding] = field(default_factory=dict)

    def bind(self, uri: str, seconds: int, now: float, foreign: bool = False) -> Binding | None:
        """Add or refresh; returns what was there before, live or not."""
        before = self.by_uri.pop(uri, None)
        self.by_uri[uri] = Binding(now + seconds, seconds, foreign)
        return before

    def remove(self, uri: str) -> bool:
        """Remove one, ``*`` for all; False when there was nothing to remove."""
        if uri == "*":
            count = len(self.by_uri)
            self.by_uri.clear()
            return count > 0
        return self.by_uri.pop(uri, None) is not None

    def live(self, now: float) -> dict[str, Binding]:
        """Those that have not expired."""
        return {uri: binding for uri, binding in self.by_uri.items() if binding.until > now}

    def make_room(self, uri: str, limit: int, replace: bool, now: float) -> bool:
        """Whether ``uri`` may be bound; with ``replace`` the oldest others go until it may."""
        others = [other for other in self.live(now) if other != uri]
        if len(others) < limit:
            return True
        if not replace:
            return False
        for other in others[: len(others) - limit + 1]:
            del self.by_uri[other]
        return True

    def held(self, now: float) -> bool:
        """Whether the client itself, not somebody else, is bound."""
        return any(not binding.foreign and binding.until > now for binding in self.by_uri.values())
