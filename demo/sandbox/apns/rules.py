"""What makes a notification request acceptable; a pure decision.

Source: developer.apple.com, "Sending notification requests to APNs". Where Apple documents that something is
wrong but not by which reason it says so, the nearest reason of its table is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from demo.sandbox.devices import Installation

MAX_PAYLOAD = 4096
MAX_VOIP_PAYLOAD = 5120
PATH = "/3/device/"
PUSH_TYPES = frozenset(
    {
        "alert",
        "background",
        "complication",
        "controls",
        "fileprovider",
        "liveactivity",
        "location",
        "mdm",
        "pushtotalk",
        "voip",
        "widgets",
    }
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_TOPIC = re.compile(r"[A-Za-z0-9.-]{1,255}")


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower-case, ``repeated`` says that one of them came twice."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    repeated: bool = False

    @property
    def token(self) -> str:
        """The device token in the path, empty when the path is none of Apple's."""
        return self.path[len(PATH) :] if self.path.startswith(PATH) else ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What Apple would say: no ``reason`` means accepted; ``timestamp`` is UNIX seconds, for a dead token."""

    reason: str = ""
    timestamp: float | None = None
    payload: dict[str, Any] = field(default_factory=dict)


def rule(request: Request, token_refusal: str, find: Callable[[str], Installation | None]) -> Ruling:
    """Judge a request; ``token_refusal`` is the verdict on the provider token, ``find`` knows the devices."""
    payload = _parsed(request.body)
    reason = (
        _line_refusal(request) or token_refusal or _header_refusal(request) or _body_refusal(request, payload)
    )
    if reason:
        return Ruling(reason, payload=payload or {})
    ruling = _device_ruling(request, find(request.token.lower()))
    return Ruling(ruling.reason, ruling.timestamp, payload or {})


def _line_refusal(request: Request) -> str:
    if request.method != "POST":
        return "MethodNotAllowed"
    if request.path.rstrip("/") == PATH.rstrip("/"):
        return "MissingDeviceToken"
    if not request.token or "/" in request.token:
        return "BadPath"
    return "DuplicateHeaders" if request.repeated else ""


def _header_refusal(request: Request) -> str:
    headers = request.headers
    if "apns-id" in headers and not _UUID.fullmatch(headers["apns-id"]):
        return "BadMessageId"
    if not re.fullmatch(r"[0-9]{1,12}", headers.get("apns-expiration", "0")):
        return "BadExpirationDate"
    if headers.get("apns-priority", "10") not in {"1", "5", "10"}:
        return "BadPriority"
    if len(headers.get("apns-collapse-id", "").encode()) > 64:
        return "BadCollapseId"
    return _topic_refusal(headers)


def _topic_refusal(headers: dict[str, str]) -> str:
    # With a provider token, unlike with a certificate, the topic cannot be guessed.
    if not headers.get("apns-topic"):
        return "MissingTopic"
    if not _TOPIC.fullmatch(headers["apns-topic"]):
        return "BadTopic"
    push_type = headers.get("apns-push-type", "alert")
    if push_type not in PUSH_TYPES:
        return "InvalidPushType"
    if headers["apns-topic"].endswith(".voip") != (push_type == "voip"):
        return "InvalidPushType"
    if push_type == "background" and headers.get("apns-priority", "10") == "10":
        return "BadPriority"
    return ""


def _body_refusal(request: Request, payload: dict[str, Any] | None) -> str:
    limit = MAX_VOIP_PAYLOAD if request.headers.get("apns-push-type") == "voip" else MAX_PAYLOAD
    if len(request.body) > limit:
        return "PayloadTooLarge"
    return "" if payload else "PayloadEmpty"


def _device_ruling(request: Request, installation: Installation | None) -> Ruling:
    if installation is None or not _HEX.fullmatch(request.token):
        return Ruling("BadDeviceToken")
    if installation.removed_at is not None:
        return Ruling("Unregistered", installation.removed_at)
    if request.headers["apns-topic"] != installation.topic:
        return Ruling("DeviceTokenNotForTopic")
    return Ruling()


def _parsed(body: bytes) -> dict[str, Any] | None:
    if len(body) > MAX_VOIP_PAYLOAD:
        return None
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
