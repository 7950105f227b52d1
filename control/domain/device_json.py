"""A device and its wakes as plain dictionaries, for the API and for scripts. Tokens show by their fingerprints alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from control.domain.push import PushToken
from control.domain.reach import DeviceStanding, Reachability
from control.domain.wakes import DeviceWake, WakeTimes


def device_as_dict(found: DeviceStanding, *, details: bool = False) -> dict[str, Any]:
    """The device in one object; with ``details`` its tokens and last wakes too."""
    result: dict[str, Any] = {
        "device": found.device,
        "name": found.name,
        "user": found.user,
        "push": sorted({token.provider for token in found.tokens}),
        **_reach(found.reach),
        "wait_s": found.wait,
        "wake_times": _times(found.times),
        "mailboxes": [asdict(mailbox) for mailbox in found.mailboxes],
    }
    if details:
        result["tokens"] = [token_as_dict(token) for token in found.tokens]
        result["wakes"] = [_wake(wake) for wake in found.wakes]
    return result


def _reach(reach: Reachability) -> dict[str, Any]:
    """The state of a device: for programs, and in words."""
    return {
        "state": reach.state.value,
        "cause": reach.cause,
        "words": reach.words,
        "advice": reach.advice,
    }


def _times(found: WakeTimes | None) -> dict[str, Any] | None:
    """Statistics in seconds; null when no wake has come to a REGISTER."""
    if found is None:
        return None
    return {"count": found.count, "p50_s": round(found.p50, 3), "p95_s": round(found.p95, 3)}


def token_as_dict(token: PushToken) -> dict[str, Any]:
    """A push token without the token. Times are UNIX seconds."""
    return {
        "provider": token.provider,
        "kind": token.kind,
        "app": token.app,
        "environment": token.environment,
        "fingerprint": token.fingerprint,
        "stored_at": token.stored_at,
        "quarantined_at": token.quarantined_at,
    }


def _wake(wake: DeviceWake) -> dict[str, Any]:
    """One wake. Times are UNIX seconds, null where there is none."""
    return {
        **asdict(wake),
        "accepted_at": wake.accepted_at or None,
        "registered_at": wake.registered_at or None,
        "seconds": None if wake.seconds is None else round(wake.seconds, 3),
    }
