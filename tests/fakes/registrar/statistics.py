"""What the registrar has seen: counters, and arrivals by tenth of a second."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Statistics:
    """Counted since the start or the last clear.

    ``received`` are REGISTERs without their ``retransmissions``; ``sent`` final replies, repeats left out; ``codes`` replies by
    status; ``gaps`` refreshes that came after the binding had ended, ``longest_gap`` in seconds, ``lapsed`` the accounts they
    belong to; ``users`` accounts whose contact was accepted; ``early`` those that registered while more than half of what
    was granted was left; ``arrivals`` REGISTERs by tenth of a second of UNIX time, repeats left out.
    """

    received: int = 0
    retransmissions: int = 0
    malformed: int = 0
    banned: int = 0
    sent: int = 0
    challenges: int = 0
    accepted: int = 0
    removed: int = 0
    queries: int = 0
    stale: int = 0
    bad_digests: int = 0
    replays: int = 0
    call_id_changes: int = 0
    tag_changes: int = 0
    cseq_regressions: int = 0
    gaps: int = 0
    longest_gap: float = 0.0
    connections: int = 0
    users: set[str] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    lapsed: set[str] = field(default_factory=set)
    codes: Counter[int] = field(default_factory=Counter)
    arrivals: Counter[int] = field(default_factory=Counter)

    def arrived(self, at: float) -> None:
        """A REGISTER came in at this UNIX time."""
        self.received += 1
        self.arrivals[int(at * 10)] += 1

    def replied(self, code: int) -> None:
        """A final reply leaves."""
        self.sent += 1
        self.codes[code] += 1
        if code in (401, 407):
            self.challenges += 1

    def as_json(self) -> dict[str, Any]:
        """All of it, with ``peak``: the most arrivals within one tenth of a second."""
        values: dict[str, Any] = {
            name: value for name, value in self.__dict__.items() if isinstance(value, int | float)
        }
        values |= {name: len(value) for name, value in self.__dict__.items() if isinstance(value, set)}
        values["peak"] = max(self.arrivals.values(), default=0)
        values["codes"] = {str(code): count for code, count in sorted(self.codes.items())}
        values["arrivals"] = {str(tenth): count for tenth, count in sorted(self.arrivals.items())}
        return values
