"""The timers of SIP transactions (RFC 3261 §17.1.1.1 and table 4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timers:
    """Base values in seconds: round trip estimate, longest retransmission interval, longest life of a message."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def give_up(self) -> float:
        """Timers B, F, H, J, L and M: how long a transaction may take, in seconds."""
        return 64 * self.t1
