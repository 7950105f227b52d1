"""A breaker: when a provider has stopped answering, one probe a second instead of every push."""

from __future__ import annotations

from dataclasses import dataclass

THRESHOLD = 5  # attempts in a row without any answer
PROBE_EVERY = 1.0  # seconds


@dataclass
class Breaker:
    """Counts attempts without an answer. An answer of any kind closes it: the provider is alive."""

    unanswered: int = 0
    probe_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether pushes wait for a probe's success."""
        return self.unanswered >= THRESHOLD

    def wait(self, now: float) -> float:
        """Seconds to wait before asking again; 0: go. While open, one caller a second is let through."""
        if not self.is_open:
            return 0.0
        if 0 < self.probe_at - now <= PROBE_EVERY:
            return self.probe_at - now
        self.probe_at = now + PROBE_EVERY
        return 0.0

    def record(self, answered: bool, now: float) -> None:
        """What came of an attempt."""
        self.unanswered = 0 if answered else self.unanswered + 1
        if self.unanswered == THRESHOLD:
            self.probe_at = now + PROBE_EVERY
