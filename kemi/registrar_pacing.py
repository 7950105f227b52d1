"""How fast one PBX is sent REGISTERs, and when it is left alone. Pure: no I/O, the time comes in.

A PBX sees no storm from us: the pace starts low, doubles each second while it answers, halves when it does not, and after a
row of silences a single probe goes out now and then until any answer comes. Then the pace starts low again, so that a PBX
that was away for an hour is met with a ramp.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from kemi.registrar_agenda import Agenda
from kemi.registrar_caution import Caution

START_PER_S = 50.0
SLOWEST_PER_S = 5.0
WINDOW = 500  # REGISTERs under way at one PBX
SILENCES = 20  # in a row, until it is taken for down
_PROBE_FIRST_S = 5.0
_PROBE_LAST_S = 60.0


class Pace:
    """A token bucket whose rate follows the answers. ``fastest`` is in REGISTERs a second."""

    __slots__ = ("_halved_at", "_last", "_tokens", "fastest", "rate")

    def __init__(self, fastest: float, now: float) -> None:
        self.fastest = fastest
        self.rate = min(START_PER_S, fastest)
        self._tokens = 1.0
        self._last = now
        self._halved_at = 0.0

    def refill(self, now: float) -> None:
        """Let time pass. A tenth of a second's worth is the most that is saved up."""
        self._tokens = min(max(1.0, self.rate / 10), self._tokens + self.rate * max(0.0, now - self._last))
        self._last = now

    @property
    def ready(self) -> bool:
        """Whether one more may leave now."""
        return self._tokens >= 1.0

    def take(self) -> bool:
        """Let one more leave, if it may."""
        if not self.ready:
            return False
        self._tokens -= 1.0
        return True

    def answered(self) -> None:
        """Any answer: each one adds one a second, so that a busy pace doubles in a second."""
        self.rate = min(self.fastest, self.rate + 1.0)

    def burdened(self, now: float) -> None:
        """Silence, or a 503: half the pace, once a second at most."""
        if now - self._halved_at >= 1.0:
            self._halved_at = now
            self.rate = max(SLOWEST_PER_S, self.rate / 2)

    def restart(self) -> None:
        """Begin low again."""
        self.rate = min(START_PER_S, self.fastest)


class Pbx:
    """One next hop: who is due there, what is under way, and whether it answers at all."""

    __slots__ = (
        "_due",
        "_held",
        "_movable",
        "_probe_at",
        "_probe_pause",
        "_untried",
        "caution",
        "down",
        "in_flight",
        "pace",
        "paused_until",
        "silences",
        "stranded",
    )

    def __init__(self, fastest: float, now: float) -> None:
        self.pace = Pace(fastest, now)
        self._due = Agenda()
        # Who was due while it was down: those with no other next hop, and those who look for one at each probe.
        self._held: list[tuple[float, str]] = []
        self._movable: list[tuple[float, str]] = []
        self.caution = Caution()
        self._untried: deque[tuple[float, str]] = deque()  # due, but caution has them wait
        self.in_flight = 0
        self.silences = 0
        self.down = False
        self.paused_until = 0.0
        self.stranded: dict[str, None] = {}  # who met silence, in order: due again at the first answer
        self._probe_at = 0.0
        self._probe_pause = _PROBE_FIRST_S

    def schedule(self, due: float, account: str) -> bool:
        """Say that an account is due at a time; True when nobody was due earlier.

        An entry made obsolete by a later one is skipped by its owner.
        """
        first = due < self._due.first()
        self._due.add(due, account)
        return first

    def next_due(self) -> float:
        """When to look at it again for somebody who is due, infinity when nobody is."""
        due = self._due.first()
        if self._untried:
            due = min(due, self.caution.free_at())
        return min(due, self._probe_at) if self._held or self._movable else due

    def put_off(self, due: float, account: str) -> None:
        """Caution has an unproven account wait for those that are on their way."""
        self._untried.append((due, account))

    def put_off_accounts(self, most: int) -> list[str]:
        """Some of those who wait so."""
        return [account for _, account in islice(self._untried, most)]

    def hold(self, due: float, account: str, movable: bool) -> None:
        """It is down: put an account by until it is not, or until a probe is due. ``movable``: it has other next hops."""
        (self._movable if movable else self._held).append((due, account))

    def _release(self, held: list[tuple[float, str]]) -> None:
        self._due.add_all(held)
        held.clear()

    def take_due(self, now: float) -> Iterator[tuple[float, str]]:
        """The (due time, account) pairs that may be sent now, as the pace, the window and the breaker allow.

        The owner must call ``sent`` for each it really sends; obsolete ones cost nothing but their pop.
        """
        self.pace.refill(now)
        if now < self.paused_until:
            return
        if self.down and self.usable(now):
            self._release(self._movable)
            if self._held:
                self._due.add(*self._held.pop())
        if self._untried:
            for _ in range(min(len(self._untried), self.caution.room(now))):
                self._due.add(*self._untried.popleft())
        while self.down or self.in_flight < WINDOW:
            entry = self._due.take(now)
            if entry is None:
                return
            yield entry

    def usable(self, now: float) -> bool:
        """Whether it is not known to be down, or it is time to see."""
        return not self.down or (now >= self._probe_at and not self.in_flight)

    def may_send(self, now: float) -> bool:
        """Ask for leave to send one; when it is not given, schedule the account again, or hold it if this is down."""
        if self.down:
            if not self.usable(now):
                return False
            self._probe_pause = min(_PROBE_LAST_S, self._probe_pause * 2)
            self._probe_at = now + self._probe_pause
            return True
        return self.in_flight < WINDOW and self.pace.take()

    def answered(self) -> list[str]:
        """Any answer came: whoever met silence before, or was held, is due again, under a pace that begins low."""
        self.silences = 0
        self.pace.answered()
        if self.down:
            self.down = False
            self._probe_pause = _PROBE_FIRST_S
            self.pace.restart()
            self._release(self._held)
            self._release(self._movable)
        stranded, self.stranded = self.stranded, {}
        return list(stranded)

    def silent(self, account: str, again: bool, now: float) -> None:
        """A REGISTER met silence; ``again``: like the one before it of the same account.

        Unless the PBX is down it may then be this account that is not answered, and the others' answers do not change that.
        """
        self.silences += 1
        self.pace.burdened(now)
        if self.silences >= SILENCES and not self.down:
            self.down = True
            self._probe_at = now + self._probe_pause
        if self.down or not again:
            self.stranded[account] = None

    def pause(self, until: float, now: float) -> None:
        """The PBX has asked for a pause (503 with Retry-After)."""
        self.paused_until = max(self.paused_until, until)
        self.pace.burdened(now)
