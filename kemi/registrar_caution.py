"""How many credentials that were never accepted one PBX is shown at a time, and when no more. Pure: the time comes in.

A PBX (or the firewall before it) that sees a handful of refused REGISTERs from one address within some minutes bans the address,
and with it everybody who is registered from there. So credentials that were accepted before go out freely; the others
begin few at a time, more with each that is accepted, one at a time after a refusal, and not at all after some refusals.
"""

from __future__ import annotations

REFUSALS = 3  # within FORGOTTEN_S, and nobody unproven is sent until the oldest is forgotten
FORGOTTEN_S = 600.0  # what the common ban tools call findtime
_FIRST = 4
_MOST = 500


class Caution:
    """One PBX's patience, as far as we know it."""

    __slots__ = ("_refusals", "_under_way", "_window")

    def __init__(self) -> None:
        self._refusals: list[float] = []
        self._under_way = 0
        self._window = _FIRST

    def room(self, now: float) -> int:
        """How many unproven credentials may be tried now."""
        self._refusals = [at for at in self._refusals if now - at < FORGOTTEN_S]
        return self._room()

    def _room(self) -> int:
        left = REFUSALS - len(self._refusals) if self._refusals else _MOST
        return max(0, min(self._window, left) - self._under_way)

    def exhausted(self, now: float) -> bool:
        """Whether it has refused so often that none is tried for now."""
        return sum(now - at < FORGOTTEN_S for at in self._refusals) >= REFUSALS

    def free_at(self) -> float:
        """When another one may be tried, 0 for now; infinity while that follows from what becomes of those under way."""
        if len(self._refusals) >= REFUSALS:
            return self._refusals[-REFUSALS] + FORGOTTEN_S
        return 0.0 if self._room() else float("inf")

    def tried(self) -> None:
        """An unproven credential is on its way."""
        self._under_way += 1

    def settled(self) -> None:
        """What came of it is known, or nothing will."""
        self._under_way -= 1

    def accepted(self) -> None:
        """One was accepted: a few more at a time."""
        self._window = min(_MOST, self._window + 1)

    def refused(self, now: float) -> None:
        """One was refused: one at a time from now on."""
        self._refusals = [*self._refusals, now][-REFUSALS:]
        self._window = 1
