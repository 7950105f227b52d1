"""One attempt to wake one device, for a call most of all, and what many of those teach: how long to wait for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CALL = "call"  # what nearly every wake is for

# How a wake ended; "" while it is under way.
WOKE = "woke"  # the device registered, rang or refused in time
LATE = "late"  # it registered after the call was given up
SLEPT = "slept"  # a provider took the push, and the device never came
REFUSED = "refused"  # no provider took a push; ``reason`` says why
CALLED_OFF = "called-off"  # the call ended by itself before the device came: it may have been about to
OUTCOMES = (WOKE, LATE, SLEPT, REFUSED, CALLED_OFF)

REMEMBERED = 20  # the wakes of a device that its statistics are made of
TRUSTED = 5  # fewer say nothing about it

# What a wait has above the time that 19 of 20 wakes took: a phone in deep sleep is slower than it was all day.
_FACTOR, _MARGIN_S = 1.5, 5.0


@dataclass(frozen=True, slots=True)
class DeviceWake:
    """How far one wake of one device has come. Times are UNIX seconds, 0.0 for "not (yet)".

    ``provider`` is the one that took the push first, else the last that was asked; ``deadline`` is when the call would have
    been given up. Two with the same ``wake`` and ``device`` are the same one, seen at two moments.
    ``purpose`` is one of ``control.domain.push.Purpose``; only wakes for calls teach anything, as what else comes may lie
    there until somebody reads it.
    """

    wake: str
    device: str
    call: str
    pushed_at: float
    deadline: float
    provider: str = ""
    accepted_at: float = 0.0
    registered_at: float = 0.0
    outcome: str = ""
    reason: str = ""
    purpose: str = CALL

    @property
    def seconds(self) -> float | None:
        """From the push to the REGISTER; None if there was none."""
        return max(0.0, self.registered_at - self.pushed_at) if self.registered_at else None

    @property
    def teaches(self) -> bool:
        """Whether it says something of how long the device takes: it came, or it slept through."""
        return self.purpose == CALL and (self.registered_at > 0 or self.outcome == SLEPT)


@dataclass(frozen=True, slots=True)
class WakeTimes:
    """How long a device takes from push to REGISTER: of ``count`` wakes half took at most ``p50`` seconds, 19 of 20 ``p95``."""

    count: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """How long to hold a call for a sleeping device, in seconds: ``usual`` until it is known, then within the bounds."""

    usual: float = 20.0
    least: float = 12.0
    most: float = 45.0


def times(wakes: Iterable[DeviceWake]) -> WakeTimes | None:
    """The statistics of some wakes; None if none of them came to a REGISTER."""
    taken = sorted(seconds for wake in wakes if (seconds := wake.seconds) is not None)
    if not taken:
        return None
    return WakeTimes(len(taken), _percentile(taken, 0.50), _percentile(taken, 0.95))


def wait_for(newest_first: Sequence[DeviceWake], policy: WaitPolicy) -> float | None:
    """How long to hold a call for a device with these wakes, in whole seconds; None: as for one that is not known.

    A wait is only shortened on good evidence: a missed call cannot be mended, a caller who waits a few seconds more for a
    phone that is off can. One wake slept through among the latest, and it is not shortened.
    """
    found = times(newest_first)
    if found is None or found.count < TRUSTED:
        return None
    wait = _clamped(found.p95 * _FACTOR + _MARGIN_S, policy)
    if any(wake.outcome in (SLEPT, LATE) for wake in newest_first[:TRUSTED]):
        wait = max(wait, policy.usual)
    return wait


def wait_within(wait: float | None, policy: WaitPolicy) -> float:
    """A wait that was once found for a device, by today's policy."""
    return policy.usual if wait is None else _clamped(wait, policy)


def _clamped(seconds: float, policy: WaitPolicy) -> float:
    return float(math.ceil(min(max(seconds, policy.least), policy.most)))


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that this share of all does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
