"""One VoIP push as APNs wants it, and its answer: aioapns' request and result with what they lack."""

from __future__ import annotations

import json
import re
from uuid import uuid4

from aioapns.common import PRIORITY_HIGH, NotificationRequest, NotificationResult, PushType
from hpack import NeverIndexedHeaderTuple

from control.domain.push import PushNotice, PushToken

MAX_BODY = 5120  # bytes; Apple's limit for VoIP pushes
MAX_CALLER = 200  # characters

_TOKEN = re.compile(r"[0-9A-Fa-f]{1,512}")

_Header = tuple[bytes, bytes]


def is_device_token(token: str) -> bool:
    """Whether the text can be a device token: hexadecimal, of any sensible length (Apple promises none)."""
    return _TOKEN.fullmatch(token) is not None


class VoipRequest(NotificationRequest):
    """A VoIP push that APNs drops at the wake's deadline.

    aioapns counts ``time_to_live`` from the moment of sending; here ``expiration`` is absolute (UNIX seconds).
    """

    __slots__ = ("authorization", "body", "expiration")

    def __init__(self, token: PushToken, notice: PushNotice) -> None:
        super().__init__(
            device_token=token.token,
            message=payload(notice),
            notification_id=str(uuid4()),
            priority=int(PRIORITY_HIGH),
            push_type=PushType.VOIP,
            apns_topic=token.app,
        )
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
            (b"apns-push-type", b"voip"),
            (b"apns-priority", b"10"),
            NeverIndexedHeaderTuple(b"apns-expiration", str(self.expiration).encode()),
            NeverIndexedHeaderTuple(b"apns-id", self.notification_id.encode()),
        ]


def payload(notice: PushNotice) -> dict[str, dict[str, str]]:
    """What the app gets: opaque references, and the caller only when the notice has one."""
    content = {"call": notice.call, "wake": notice.wake}
    if notice.caller is not None:
        content["caller"] = notice.caller[:MAX_CALLER]
    return {"nightbell": content}


class ApnsAnswer(NotificationResult):
    """APNs' answer: ``status`` (three digits), ``description`` (Apple's reason), ``timestamp`` (ms of a 410)."""

    __slots__ = ("retry_after",)

    def __init__(self, apns_id: str, status: str, body: bytes, retry_after: str | None = None) -> None:
        reason, timestamp = _parse(body)
        super().__init__(apns_id, status, description=reason, timestamp=timestamp)
        self.retry_after = retry_after


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
