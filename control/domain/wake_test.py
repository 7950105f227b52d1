"""A test call to a device: how it stands, how far it came, and what to check if that was not far enough. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from control.domain.journal import Step
from control.domain.story import Story

TAKEN_WITHIN_S = 5.0  # seconds for the edge agent to take a test in hand; later it does not begin one
LONGEST_S = 130.0  # no call is held for longer
JOURNAL_S = 3.0  # how long a call that is over may take to be in the journal


class State(StrEnum):
    """How far a test has come."""

    WAITING = "waiting"  # the edge agent has not taken it in hand yet
    RUNNING = "running"
    OVER = "over"


def call_id(test: str) -> str:
    """The SIP Call-ID of a test's call, by which the journal knows it."""
    return f"test-{test}"


@dataclass(frozen=True)
class Finding:
    """Whether the device can be reached by a call, in a sentence, and what to do next."""

    ok: bool
    words: str


NO_AGENT = Finding(
    False, "The edge agent did not take the test in hand. Is it running? `nightbell status` says so."
)
NOT_TAKEN = Finding(False, "Nightbell did not take the test call. Is everything running? `nightbell status`")


def finding(steps: Sequence[Step]) -> Finding:
    """Read the journal of a test call. The first step that is missing is the one that failed."""
    first: dict[str, Step] = {}
    for step in sorted(steps, key=lambda step: step.at):
        first.setdefault(step.step, step)
    rang = first.get("ringing") or first.get("answered")
    pushed = first.get("push-sent")
    if rang is not None:
        if pushed is None or pushed.at > rang.at:
            return Finding(
                True, "It was connected, and rang without a push. To test the push, close the app first."
            )
        return Finding(True, f"It was woken, and rang {_ms(rang.at - pushed.at)} after the push.")
    if "register" in first:
        return Finding(
            False,
            "It was woken and registered, and did not ring. Does the app answer an INVITE right after its REGISTER?",
        )
    if "push-accepted" in first:
        company = first["push-accepted"].provider
        return Finding(
            False,
            f"{company} accepted the push, and the phone did not register. Is it on and online? Was the app "
            "force-stopped, or does a battery saver hold it back? Does it use the password it was given?",
        )
    if pushed is not None:
        reason = first["push-refused"].reason if "push-refused" in first else "no answer"
        return Finding(
            False,
            f"The provider did not take the push: {reason}. Look at `nightbell alarms` and the settings.",
        )
    why = next((first[name].reason for name in ("push-withheld", "gave-up", "failed") if name in first), "")
    return Finding(
        False,
        f"No push was sent{f': {why}' if why else ''}. `nightbell device show` says what the device has given.",
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


@dataclass(frozen=True)
class WakeTest:
    """One test of one device. Times are UNIX seconds; ``finding`` is what it has shown, None until it is over."""

    id: str
    device: str
    wanted_at: float
    state: State
    story: Story | None
    finding: Finding | None

    @property
    def push_to_register_ms(self) -> float | None:
        """From the first push to the REGISTER that it brought; None if there was none."""
        steps = sorted((beat.step for beat in self.story.beats), key=lambda s: s.at) if self.story else []
        pushed = next((step.at for step in steps if step.step == "push-sent"), None)
        came = next(
            (s.at for s in steps if s.step == "register" and pushed is not None and s.at >= pushed), None
        )
        return None if pushed is None or came is None else (came - pushed) * 1000


def judged(
    *,
    test: str,
    device: str,
    wanted_at: float,
    taken_at: float,
    ended_at: float,
    story: Story | None,
    now: float,
) -> WakeTest:
    """How a test stands at ``now``. ``taken_at`` and ``ended_at`` are 0.0 for "not yet"; ``story`` is of its call, so far."""
    steps = [beat.step for beat in story.beats] if story else []
    found, state = (finding(steps) if story else NOT_TAKEN), State.RUNNING
    if not taken_at:
        found, state = NO_AGENT, State.OVER if now > wanted_at + TAKEN_WITHIN_S else State.WAITING
    elif ended_at:
        # The call is over when its caller knows; what the journal has of it may come a moment later.
        written = story is not None and bool(story.head.ended_at or story.head.outcome)
        state = State.OVER if written or now > ended_at + JOURNAL_S else State.RUNNING
    elif now > taken_at + LONGEST_S + JOURNAL_S:  # the agent has died meanwhile
        state = State.OVER
    return WakeTest(test, device, wanted_at, state, story, found if state is State.OVER else None)
