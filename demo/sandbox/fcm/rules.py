"""What makes a ``messages:send`` request acceptable; a pure decision.

Source: firebase.google.com, REST resource projects.messages, and "ErrorCode" for the limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from demo.sandbox.devices import Installation
from demo.sandbox.fcm.errors import FCM_ERRORS, GoogleError, invalid_field

MAX_DATA = 4096
MAX_TTL = 2_419_200.0  # four weeks
FIELDS = frozenset(
    {
        "name",
        "data",
        "notification",
        "android",
        "webpush",
        "apns",
        "fcm_options",
        "token",
        "topic",
        "condition",
    }
)
RESERVED = frozenset({"from", "message_type"})
_TTL = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,64}:[A-Za-z0-9_-]{20,400}")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What Google would say: no ``error`` means accepted. ``ttl`` is in seconds."""

    error: GoogleError | None = None
    ttl: float = MAX_TTL


def rule(body: Any, find: Callable[[str], Installation | None]) -> Ruling:
    """Judge the parsed JSON of a request; ``find`` knows the devices."""
    if not isinstance(body, dict):
        return Ruling(invalid_field("", "Invalid JSON payload received."))
    unknown = sorted(set(body) - {"message", "validate_only"})
    if unknown:
        return Ruling(_unknown(unknown[0], ""))
    message = body.get("message")
    if not isinstance(message, dict):
        return Ruling(invalid_field("message", "Message is not set."))
    error = _shape_error(message) or _data_error(message.get("data", {}))
    if error:
        return Ruling(error)
    android = message.get("android", {})
    if not isinstance(android, dict):
        return Ruling(invalid_field("message.android", "Invalid value at 'message.android' (AndroidConfig)"))
    ttl = _ttl(android)
    error = ttl if isinstance(ttl, GoogleError) else _android_error(android)
    error = error or _device_error(message["token"], android, find)
    return Ruling(error, ttl if isinstance(ttl, float) else MAX_TTL)


def _unknown(name: str, where: str) -> GoogleError:
    at = f" at '{where}'" if where else ""
    text = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
    return invalid_field(where, text)


def _shape_error(message: dict[str, Any]) -> GoogleError | None:
    unknown = sorted(set(message) - FIELDS)
    if unknown:
        return _unknown(unknown[0], "message")
    targets = [name for name in ("token", "topic", "condition") if message.get(name)]
    if len(targets) != 1:
        return invalid_field("message", "Recipient of the message is not set.")
    if not isinstance(message.get("token"), str):
        return invalid_field("message.token", "The sandbox sends to registration tokens only.")
    return None


def _data_error(data: Any) -> GoogleError | None:
    if not isinstance(data, dict):
        return invalid_field("message.data", "Invalid value at 'message.data' (MapEntry)")
    for index, (key, value) in enumerate(data.items()):
        if not isinstance(value, str):
            name = f"message.data[{index}].value"
            return invalid_field(name, f"Invalid value at '{name}' (TYPE_STRING), {value}")
        if key in RESERVED or key.startswith(("google", "gcm")):
            return invalid_field(f"message.data[{index}].key", f"Invalid data payload key: {key}")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in data.items())
    if size > MAX_DATA:
        return invalid_field("message.data", "Message too big: the data exceeds 4096 bytes.")
    return None


def _ttl(android: dict[str, Any]) -> float | GoogleError:
    written = android.get("ttl")
    if written is None:
        return MAX_TTL
    match = _TTL.fullmatch(written) if isinstance(written, str) else None
    if match is None or float(match[1]) > MAX_TTL:
        return invalid_field(
            "message.android.ttl", f"Invalid value at 'message.android.ttl' (Duration), {written}"
        )
    return float(match[1])


def _android_error(android: dict[str, Any]) -> GoogleError | None:
    priority = android.get("priority", "normal")
    if not isinstance(priority, str) or priority.lower() not in {"normal", "high"}:
        text = f"Invalid value at 'message.android.priority' (AndroidMessagePriority), {priority}"
        return invalid_field("message.android.priority", text)
    return None


def _device_error(
    token: str, android: dict[str, Any], find: Callable[[str], Installation | None]
) -> GoogleError | None:
    if not _TOKEN.fullmatch(token):
        return FCM_ERRORS["INVALID_ARGUMENT"]
    installation = find(token)
    if installation is None or installation.removed_at is not None:
        return FCM_ERRORS["UNREGISTERED"]
    package = android.get("restricted_package_name", installation.topic)
    if package != installation.topic:
        return invalid_field("message.android.restricted_package_name", f"Invalid package name: {package}")
    return None
