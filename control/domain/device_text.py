"""How a device stands, its tokens and its wakes, as plain text for a terminal."""

from __future__ import annotations

from control.domain.reach import DeviceStanding
from control.domain.story import duration
from control.domain.story_text import moment
from control.domain.wakes import WakeTimes

_SHOWN = 10  # wakes


def usual_time(times: WakeTimes | None) -> str:
    """How fast a device wakes, in a few words; empty when it is not known."""
    return "" if times is None else f"{_seconds(times.p50)} / {_seconds(times.p95)}"


def as_text(found: DeviceStanding) -> str:
    """Everything about a device, for people."""
    lines = [f"{found.device}   {found.name}, of {found.user}", found.reach.words]
    if found.reach.advice:
        lines.append(f"Next: {found.reach.advice}")
    if found.times is not None:
        known = found.times
        lines.append(
            f"Of {known.count} wakes half took {_seconds(known.p50)} or less, 19 of 20 {_seconds(known.p95)}; "
            f"a call waits {found.wait:g} s for it, or as long as its connection allows."
        )
    lines += [f"Mailbox at {mailbox.connection}: {mailbox.words}." for mailbox in found.mailboxes]
    lines += ["", "push tokens"]
    lines += [
        f"  {token.provider}  {token.kind}  {token.app}  {token.environment}  #{token.fingerprint}"
        f"  brought {moment(token.stored_at)}"
        + (f"  quarantined {moment(token.quarantined_at)}" if token.quarantined_at is not None else "")
        for token in found.tokens
    ] or ["  none"]
    lines += ["", "last wakes"]
    lines += [
        f"  {moment(wake.pushed_at)}  call {wake.call}  {wake.outcome or 'under way'}"
        + (f"  {_seconds(wake.seconds)}" if wake.seconds is not None else "")
        + (f"  {wake.provider}" if wake.provider else "")
        + (f"  {wake.reason}" if wake.reason else "")
        for wake in found.wakes[:_SHOWN]
    ] or ["  none"]
    return "\n".join(lines)


def _seconds(seconds: float) -> str:
    return duration(seconds * 1000)
