"""One wake as FCM's HTTP v1 wants it, and what its error bodies say."""

from __future__ import annotations

import json
from typing import Any

from control.domain.push import Purpose, PushNotice

MAX_CALLER = 200  # characters
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"

# What wakes a phone that saves its battery. Google wants something shown for each, and counts. A message is shown, and its sender
# waits for 25 s at most: at normal priority it would come too late to a phone that dozes. Nobody waits for the others.
_URGENT = (Purpose.CALL, Purpose.REQUEST, Purpose.MESSAGE)


def message(token: str, notice: PushNotice, now: float) -> dict[str, Any]:
    """A data-only message that FCM drops at the deadline. Every value of ``data`` is a string.

    ``ttl`` is cut to whole seconds, so that nothing is delivered after the deadline; ``0s`` is now or never.
    """
    data = {
        "nightbell_type": notice.purpose.value,
        "nightbell_call": notice.call,
        "nightbell_wake": notice.wake,
    }
    if notice.caller is not None:
        data["nightbell_caller"] = notice.caller[:MAX_CALLER]
    priority = "HIGH" if notice.purpose in _URGENT else "NORMAL"
    left = max(0, int(notice.deadline - now))
    return {
        "message": {
            "token": token,
            "data": data,
            "android": {"priority": priority, "ttl": f"{left}s"},
        }
    }


def message_id(body: bytes) -> str:
    """The name FCM gave the message (``projects/…/messages/…``), or nothing."""
    raw = _parse(body)
    name = raw.get("name")
    return name if isinstance(name, str) else ""


def error_code(body: bytes) -> str:
    """FCM's own word for an error: the errorCode of its details, else the canonical status.

    The HTTP status alone misleads: 404 is UNREGISTERED for a token, NOT_FOUND for a wrong project.
    """
    error = _parse(body).get("error")
    if not isinstance(error, dict):
        return ""
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and detail.get("@type") == FCM_ERROR:
            code = detail.get("errorCode")
            if isinstance(code, str):
                return code
    status = error.get("status")
    # UNREGISTERED is believed only where FCM itself says it.
    return status if isinstance(status, str) and status != "UNREGISTERED" else ""


def _parse(body: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(body)
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}
