"""When a device that refreshes its binding by itself, and has not, is reminded by a push (RFC 8599, 5.5). Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

GRACE = 0.1  # of the time in which it has to refresh: it may use all of it but this
PAUSE_S = 10.0  # between the first reminder and the second, doubling


@dataclass(frozen=True)
class Reminder:
    """The next reminder of a device: at ``due`` if it has not registered by then; pointless after ``ends``. UNIX seconds."""

    device: str
    due: float
    ends: float
    tries: int = 0

    @classmethod
    def after_register(cls, device: str, at: float, granted: float, before: float) -> Reminder:
        """It registered at ``at`` for ``granted`` seconds, and is to refresh ``before`` seconds before these are over."""
        ends = at + granted
        return cls(device, ends - before * (1 - GRACE), ends)

    def after_push(self, now: float) -> Reminder | None:
        """A reminder has gone out; None: there is no time for another. A call wakes it all the same."""
        due = now + PAUSE_S * 2**self.tries
        return replace(self, due=due, tries=self.tries + 1) if due < self.ends else None
