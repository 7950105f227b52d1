"""The register log: what was answered to each REGISTER, where equal answers one after the other are one run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

DEVICE = "device"  # a device registered here
PBX = "pbx"  # a connection registered at its PBX


@dataclass(frozen=True)
class Attempt:
    """One REGISTER and what became of it. ``subject`` is a device's or a connection's id.

    ``at`` is UNIX time in seconds, ``expires`` what was granted in seconds, ``rtt_ms`` the round trip. ``state`` is the
    device's action (``kemi.wire.RegisterEvent``) or the registration's state at the PBX, ``why`` of ``kemi.wire.UpstreamEvent``.
    ``quiet``: all that is known is that the state goes on.
    """

    side: str
    subject: str
    at: float
    state: str
    code: int = 0
    reason: str = ""
    why: str = ""
    contact: str = ""
    source: str = ""
    user_agent: str = ""
    instance: str = ""
    expires: int = 0
    rtt_ms: float = 0.0
    quiet: bool = False

    @property
    def news(self) -> tuple[object, ...]:
        """What of it would be news: an attempt that differs in none of these continues the run before it."""
        return (
            self.state,
            self.code,
            self.reason,
            self.why,
            self.contact,
            self.source,
            self.user_agent,
            self.instance,
        )


@dataclass(frozen=True)
class Run:
    """``count`` equal answers one after the other, from ``first_at`` to ``last.at``; round trips in milliseconds."""

    last: Attempt
    first_at: float
    count: int = 1
    rtt_min: float = 0.0
    rtt_sum: float = 0.0
    rtt_max: float = 0.0

    @classmethod
    def begin(cls, attempt: Attempt) -> Run:
        """The run of one attempt."""
        return cls(attempt, attempt.at, 1, attempt.rtt_ms, attempt.rtt_ms, attempt.rtt_ms)

    @property
    def rtt_avg(self) -> float:
        """The mean round trip."""
        return self.rtt_sum / self.count

    def holds(self, attempt: Attempt) -> bool:
        """Whether this attempt is one of the run's, told again."""
        return self._fits(attempt) and self.first_at <= attempt.at <= self.last.at

    def continued_by(self, attempt: Attempt) -> bool:
        """Whether this attempt brings nothing new."""
        return self._fits(attempt) and attempt.at > self.last.at

    def _fits(self, attempt: Attempt) -> bool:
        if attempt.quiet:
            return attempt.state == self.last.state
        return attempt.news == self.last.news

    def with_attempt(self, attempt: Attempt) -> Run:
        """The run with one attempt more."""
        return replace(
            self,
            last=replace(self.last, at=attempt.at, expires=attempt.expires, rtt_ms=attempt.rtt_ms),
            count=self.count + 1,
            rtt_min=min(self.rtt_min, attempt.rtt_ms),
            rtt_sum=self.rtt_sum + attempt.rtt_ms,
            rtt_max=max(self.rtt_max, attempt.rtt_ms),
        )


def grouped(newest: Run | None, attempts: Iterable[Attempt]) -> list[Run]:
    """The runs after these attempts of one subject: the newest one there was, perhaps longer, and the new ones.

    Attempts that these runs hold already are passed over, so that a batch may be told twice.
    """
    runs = [] if newest is None else [newest]
    for attempt in attempts:
        if runs and runs[-1].continued_by(attempt):
            runs[-1] = runs[-1].with_attempt(attempt)
        elif not runs or attempt.at > runs[-1].last.at or not any(run.holds(attempt) for run in runs):
            runs.append(Run.begin(attempt))
    return runs
