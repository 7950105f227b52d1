"""What a test call has shown: how far it came, and what to check if that was not far enough. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control.domain.journal import Step


@dataclass(frozen=True)
class Finding:
    """Whether the device can be reached by a call, in a sentence, and what to do next."""

    ok: bool
    words: str


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
