"""One push as APNs wants it, and its answer: aioapns' request and result with what they lack."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aioapns.common import PRIORITY_HIGH, PRIORITY_NORMAL, NotificationRequest, NotificationResult, PushType
from hpack import NeverIndexedHeaderTuple

from control.domain.push import ALERT, VOIP, Purpose, PushNotice, PushToken

MAX_BODY = 5120  # bytes; Apple's limit for VoIP pushes, the others are far smaller
MAX_CALLER = 200  # characters

_TOKEN = re.compile(r"[0-9A-Fa-f]{1,512}")

_Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Style:
    """How a purpose is said to an iPhone: ``apns-push-type``, ``apns-priority``, and Apple's own part of the payload."""

    push_type: PushType
    priority: str
    aps: Mapping[str, Any] = field(default_factory=dict)


_VOIP_STYLE = Style(PushType.VOIP, PRIORITY_HIGH)


def _shown(text: str) -> Style:
    """The system shows it, whatever the app does; ``mutable-content`` lets the app say it in its own words."""
    alert = {"alert": {"body": text}, "sound": "default", "mutable-content": 1}
    return Style(PushType.ALERT, PRIORITY_HIGH, alert)


# Apple refuses more than priority 5 for what is not shown, and may hold it back.
_SILENT = Style(PushType.BACKGROUND, PRIORITY_NORMAL, {"content-available": 1})

_STYLES: Mapping[tuple[str, Purpose], Style] = {
    # The only row for VoIP: an app that reports no call after such a push is stopped by iOS, and gets no more (W5).
    (VOIP, Purpose.CALL): _VOIP_STYLE,
    (ALERT, Purpose.MESSAGE): _shown("New message"),
    (ALERT, Purpose.VOICEMAIL): _shown("New voice message"),
    (ALERT, Purpose.REFRESH): _SILENT,
    (ALERT, Purpose.REQUEST): _SILENT,
}


def style(kind: str, purpose: Purpose) -> Style | None:
    """How to push for a purpose to a token of a kind; None if that must not be."""
    return _STYLES.get((kind, purpose))


def bundle(token: PushToken) -> str:
    """The bundle id of the token's app."""
    return token.app.removesuffix(".voip")


def topic(token: PushToken) -> str:
    """The bundle id; for a VoIP token with ``.voip`` at its end, for any other without (Apple's rule)."""
    return f"{bundle(token)}.voip" if token.kind == VOIP else bundle(token)


def is_device_token(token: str) -> bool:
    """Whether the text can be a device token: hexadecimal, of any sensible length (Apple promises none)."""
    return _TOKEN.fullmatch(token) is not None


class ApnsRequest(NotificationRequest):
    """A push that APNs drops at the notice's deadline.

    aioapns counts ``time_to_live`` from the moment of sending; here ``expiration`` is absolute (UNIX seconds), and by Apple's
    clock, where ``deadline`` is by ours.
    """

    __slots__ = ("authorization", "body", "deadline", "expiration", "style")

    def __init__(self, token: PushToken, notice: PushNotice, style: Style) -> None:
        super().__init__(
            device_token=token.token,
            message=payload(notice, style),
            notification_id=str(uuid4()),
            priority=int(style.priority),
            push_type=style.push_type,
            apns_topic=topic(token),
        )
        self.style = style
        self.deadline = notice.deadline
        self.expiration = int(notice.deadline)
        self.authorization = ""
        self.body = json.dumps(self.message, separators=(",", ":")).encode()

    def headers(self, authority: bytes) -> list[_Header]:
        """The request's header block, lower case and in the order RFC 9113 §8.3 wants.

        What differs in every push is kept out of HPACK's table, so that what stays the same, the long
        authorization first of all, costs one byte each.
        """
        return [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", authority),
            NeverIndexedHeaderTuple(b":path", f"/3/device/{self.device_token}".encode()),
            (b"authorization", self.authorization.encode()),
            (b"apns-topic", (self.apns_topic or "").encode()),
            (b"apns-push-type", self.style.push_type.value.encode()),
            (b"apns-priority", self.style.priority.encode()),
            NeverIndexedHeaderTuple(b"apns-expiration", str(self.expiration).encode()),
            NeverIndexedHeaderTuple(b"apns-id", self.notification_id.encode()),
        ]


def payload(notice: PushNotice, style: Style) -> dict[str, Any]:
    """What the app gets: opaque references, and the caller only when the notice has one."""
    content = {"type": notice.purpose.value, "call": notice.call, "wake": notice.wake}
    if notice.caller is not None:
        content["caller"] = notice.caller[:MAX_CALLER]
    return {"aps": style.aps, "nightbell": content} if style.aps else {"nightbell": content}


class ApnsAnswer(NotificationResult):
    """APNs' answer: ``status`` (three digits), ``description`` (Apple's reason), ``timestamp`` (ms of a 410).

    ``date`` is the header, which Apple documents nowhere (RFC 9110 §6.6.1 demands it).
    """

    __slots__ = ("date", "retry_after")

    def __init__(
        self, apns_id: str, status: str, body: bytes, retry_after: str | None = None, date: str | None = None
    ) -> None:
        reason, timestamp = _parse(body)
        super().__init__(apns_id, status, description=reason, timestamp=timestamp)
        self.retry_after = retry_after
        self.date = date


def _parse(body: bytes) -> tuple[str, int | None]:
    if not body:
        return "", None
    try:
        raw = json.loads(body)
    except ValueError:
        return "", None
    if not isinstance(raw, dict):
        return "", None
    reason, timestamp = raw.get("reason"), raw.get("timestamp")
    return reason if isinstance(reason, str) else "", timestamp if type(timestamp) is int else None
