"""What time it is for Apple and Google: this machine's clock, or theirs where that one is far off."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import structlog

from control.domain.push import PushTrouble
from control.push.port import Clock

TOLERATED = 60.0  # seconds; nobody refuses what was signed so far ahead or behind
FARTHEST = (
    26 * 3600.0
)  # seconds; a clock that is wrong by a time zone, or by a day. What says more is not believed
SUBJECT = "push", "clock"  # of the alarm

log = structlog.get_logger("push.clock")


def since_boot() -> float:
    """Seconds, those included in which the machine slept; nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ProviderTime:
    """The clock that was given, as which it can be called; ``theirs`` is for what Apple and Google compare with their own.

    It learns from the header Date (RFC 9110 §6.6.1) of their answers, over TLS that was verified: never from a server that a
    device has chosen. ``tell`` gets a PushTrouble when the clock turns out to be wrong, and one without a text when it is right.
    """

    def __init__(
        self,
        clock: Clock = time.time,
        tell: Callable[[PushTrouble], None] = lambda _: None,
        elapsed: Clock = since_boot,
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._elapsed = elapsed
        self._told: tuple[float, float] | None = None  # what a Date has said, and what ``elapsed`` was then
        self._wrong: bool | None = None  # None: nobody has said

    @classmethod
    def of(cls, clock: Clock) -> ProviderTime:
        """The clock itself if it is one of these: all providers then share what one of them learns."""
        return clock if isinstance(clock, cls) else cls(clock)

    def __call__(self) -> float:
        """Our own time."""
        return self._clock()

    def theirs(self) -> float:
        """UNIX time in seconds as they have it; our own as long as that is near enough, or nobody has said better."""
        return self._clock() + self.ahead

    @property
    def ahead(self) -> float:
        """Seconds that their clock is ahead of ours, 0 if that makes no difference."""
        if self._told is None:
            return 0.0
        told, at = self._told
        ahead = told + self._elapsed() - at - self._clock()
        return ahead if abs(ahead) > TOLERATED else 0.0

    def heard(self, date: str | None) -> None:
        """Take note of an answer's Date; what is none, or too far away, is not believed."""
        told = _seconds(date)
        if told is not None and abs(told - self._clock()) <= FARTHEST:
            self._told = told, self._elapsed()
            self._say(told - self._clock())

    def forget(self) -> None:
        """They refuse even what was signed by their own time: go by ours."""
        self._told = None

    def differs(self, ahead: float) -> bool:
        """Whether ``ahead`` is another now than it was, so that signing anew makes sense."""
        return abs(self.ahead - ahead) > TOLERATED

    def _say(self, ahead: float) -> None:
        # Halfway back is near enough, so that a clock at the limit raises no alarm again and again.
        wrong = abs(ahead) > (TOLERATED / 2 if self._wrong else TOLERATED)
        if wrong == self._wrong:
            return
        self._wrong = wrong
        text = ""
        if wrong:
            direction = "slow" if ahead > 0 else "fast"
            text = (
                f"This machine's clock is {abs(ahead) / 60:.0f} minutes {direction}: Google and Apple say so. Pushes are signed "
                "by their time for now. Set the clock, and see to it that it is kept right (timedatectl)"
            )
            log.error("push.clock-wrong", minutes=round(ahead / 60))
        self._tell(PushTrouble(*SUBJECT, self._clock(), text))


def _seconds(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
