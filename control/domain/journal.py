"""The journal of a call: its steps, and the head that sums them up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from control.domain.errors import InvalidFieldError

# Steps reported by the edge agent; those reported by Kamailio are ``kemi.wire.CALL_STEPS``.
AGENT_STEPS = (
    "push-sent",  # a push left for a provider
    "push-accepted",  # the provider took it
    "push-withheld",  # no push left: too many calls in a minute, or the same call has had its push already
    "push-refused",  # the provider refused it, or could not be reached; ``reason`` says which
    "clear-sent",  # an app that had been pushed to was told that the call is over; code and reason are the provider's
    "register",  # a device that this call waited for registered
    "wake-deadline",  # nobody woke in time
    "gave-up",  # nobody can wake, so waiting was ended early
    "wake-cancelled",  # waiting ended for another reason: the caller gave up, or another device answered
)

IN = "in"  # PBX to device
OUT = "out"  # device to PBX


@dataclass(frozen=True)
class Step:
    """One thing that happened to one call; the fields of ``kemi.wire.CallEvent``, and who pushed.

    ``at`` is UNIX time in seconds with microseconds. Two steps that agree in call, time, step, device and
    provider are the same step told twice.
    """

    call: str
    at: float
    step: str
    device: str = ""
    provider: str = ""
    connection: str = ""
    aor: str = ""
    direction: str = ""
    caller: str = ""
    callee: str = ""
    sip_call_id: str = ""
    code: int = 0
    reason: str = ""


@dataclass(frozen=True)
class CallHead:
    """A call in one line. ``outcome`` is empty while it is neither answered nor over.

    Otherwise ``answered``, ``cancelled`` or ``failed``, of a message ``delivered`` or ``failed``; times are UNIX seconds,
    0.0 for "not (yet)".
    """

    call: str
    started_at: float
    direction: str = ""
    connection: str = ""
    aor: str = ""
    caller: str = ""
    callee: str = ""
    sip_call_id: str = ""
    outcome: str = ""
    code: int = 0
    reason: str = ""
    answered_at: float = 0.0
    ended_at: float = 0.0
    kind: str = ""  # MESSAGE, or empty: a call


MESSAGE = "message"  # what a head of the journal stands for, if not for a call
UNDER_WAY = "under-way"  # the outcome of a call that is neither answered nor over, where one has to be named
OUTCOMES = (UNDER_WAY, "answered", "delivered", "cancelled", "failed")


@dataclass(frozen=True)
class CallFilter:
    """Which calls are meant: those that have all that is given.

    ``since`` is UNIX seconds; ``device`` took part; ``connection`` is its id or name; ``outcome`` one of OUTCOMES.
    Raises InvalidFieldError.
    """

    since: float = 0.0
    device: str = ""
    connection: str = ""
    outcome: str = ""

    def __post_init__(self) -> None:
        if self.outcome and self.outcome not in OUTCOMES:
            raise InvalidFieldError("outcome", f"{self.outcome[:40]!r} is none of {', '.join(OUTCOMES)}")


def cursor_after(head: CallHead) -> str:
    """Where the list of calls goes on after this one."""
    return f"{head.started_at!r}~{head.call}"


def read_cursor(text: str) -> tuple[float, str]:
    """What cursor_after made. Raises InvalidFieldError."""
    at, separator, call = text.partition("~")
    try:
        began = float(at)
    except ValueError:
        began = -1.0
    if not separator or not 0 <= began < 1e12:
        raise InvalidFieldError("cursor", f"{text[:40]!r} is not the `next_cursor` of an answer")
    return began, call


_TOLD_ONCE = ("direction", "connection", "aor", "caller", "callee", "sip_call_id")
HANG_UPS = ("bye", "device-bye")  # steps that end a call that was answered
_OF_MESSAGES = ("message-in", "message-out", "delivered")


def fold(head: CallHead, steps: Iterable[Step]) -> CallHead:
    """The head after these steps. Steps may come late, twice and in any order: the result is the same."""
    for step in steps:
        head = _absorb(head, step)
    return head


def _absorb(head: CallHead, step: Step) -> CallHead:
    news: dict[str, Any] = {
        name: value for name in _TOLD_ONCE if (value := getattr(step, name)) and not getattr(head, name)
    }
    if not head.started_at or step.at < head.started_at:
        news["started_at"] = step.at
    if step.step in _OF_MESSAGES and not head.kind:
        news["kind"] = MESSAGE
    if news:  # of most steps there are none, and a copy costs more than the look
        head = replace(head, **news)
    if step.step == "delivered":
        # Of several devices that get it the first counts; one may get it after the sender was told that none did.
        first = min(head.ended_at, step.at) if head.outcome == "delivered" else step.at
        return replace(head, outcome="delivered", code=step.code or 200, reason="", ended_at=first)
    if step.step == "answered":
        # Of several devices that answer at once the first has it.
        first = min(head.answered_at, step.at) if head.answered_at else step.at
        ended = 0.0 if head.outcome in ("cancelled", "failed") else head.ended_at
        return replace(
            head, outcome="answered", code=step.code or 200, reason="", answered_at=first, ended_at=ended
        )
    if step.step in HANG_UPS:
        return replace(head, ended_at=max(head.ended_at, step.at))
    if step.step == "cancelled" and head.outcome != "answered":
        return replace(
            head, outcome="cancelled", code=487, reason=_reason(head, step), ended_at=_end(head, step)
        )
    if step.step == "failed" and head.outcome not in ("answered", "delivered", "cancelled"):
        return replace(
            head, outcome="failed", code=step.code, reason=_reason(head, step), ended_at=_end(head, step)
        )
    return head


def _reason(head: CallHead, step: Step) -> str:
    return head.reason if head.outcome == step.step and head.reason else step.reason


def _end(head: CallHead, step: Step) -> float:
    # A call that was cancelled and then got its 487 ended when it was cancelled.
    return min(head.ended_at, step.at) if head.outcome == step.step and head.ended_at else step.at
