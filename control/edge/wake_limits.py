"""How many calls a minute may send pushes (W13): for one person, and for all together. Token buckets, in memory."""

from __future__ import annotations

from dataclasses import dataclass

_SWEEP = 10_000  # callees known at most before those that are full again are forgotten


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class WakeLimits:
    """``per_callee`` and ``per_domain`` are calls a minute, and as many at once after a quiet minute; 0: no limit.

    ``what`` is counted, in the words of a refusal.
    """

    def __init__(self, per_callee: int, per_domain: int, what: str = "calls") -> None:
        self._per_callee, self._per_domain, self._what = per_callee, per_domain, what
        self._callees: dict[str, _Bucket] = {}
        self._domain = _Bucket(per_domain, 0.0)

    def refusal(self, aor: str, now: float) -> str:
        """Count one more call for a person; why it may not push, empty if it may. ``now`` is UNIX time in seconds.

        A call that is refused takes nothing from either limit.
        """
        if len(self._callees) > _SWEEP:
            self._sweep(now)
        callee = self._callees.setdefault(aor, _Bucket(self._per_callee, now))
        _fill(callee, self._per_callee, now)
        _fill(self._domain, self._per_domain, now)
        if self._per_callee and callee.left < 1:
            return f"more than {self._per_callee} {self._what} a minute for this person"
        if self._per_domain and self._domain.left < 1:
            return f"more than {self._per_domain} {self._what} a minute for all together"
        callee.left -= 1
        self._domain.left -= 1
        return ""

    def _sweep(self, now: float) -> None:
        for aor, bucket in tuple(self._callees.items()):
            _fill(bucket, self._per_callee, now)
            if bucket.left >= self._per_callee:
                del self._callees[aor]


def _fill(bucket: _Bucket, per_minute: int, now: float) -> None:
    # A clock that was set back gives nothing, and takes nothing.
    bucket.left = min(per_minute, bucket.left + max(0.0, now - bucket.at) * per_minute / 60)
    bucket.at = now
