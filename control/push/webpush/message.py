"""One push as a browser's push service wants it: encrypted, short-lived, replacing the earlier one about the same call."""

from __future__ import annotations

import base64
import hashlib
import json

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec

from control.domain.push import Purpose, PushNotice
from control.push.webpush.subscription import Subscription

MAX_CALLER = 200  # characters

# RFC 8030 §5.3: "high" is also delivered to a device that saves its battery.
_URGENCY = {Purpose.MESSAGE: "normal", Purpose.VOICEMAIL: "normal"}
# What is known by its newest state alone; of messages, each counts.
_ONE_OF_A_KIND = (Purpose.VOICEMAIL, Purpose.REFRESH)


def payload(notice: PushNotice) -> bytes:
    """What the page's service worker gets: opaque references, and the caller only when the notice has one."""
    content = {"type": notice.purpose.value, "call": notice.call, "wake": notice.wake}
    if notice.caller is not None:
        content["caller"] = notice.caller[:MAX_CALLER]
    return json.dumps(content, separators=(",", ":")).encode()


def headers(notice: PushNotice, now: float) -> dict[str, str]:
    """All but the authorization. ``TTL`` is cut to whole seconds: nothing is delivered after the deadline."""
    made = {
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(max(0, int(notice.deadline - now))),
        "Urgency": _URGENCY.get(notice.purpose, "high"),
    }
    if about := _topic(notice):
        made["Topic"] = about
    return made


def encrypt(plain: bytes, subscription: Subscription) -> bytes:
    """One record of aes128gcm under a key of its own (RFC 8291 §3)."""
    body: bytes = http_ece.encrypt(
        plain,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=subscription.key,
        auth_secret=subscription.auth,
        version="aes128gcm",
    )
    return body


def _topic(notice: PushNotice) -> str:
    """A push that still waits is replaced by the next one of its topic (RFC 8030 §5.4): OVER takes the place of CALL.

    It is not encrypted, so it gives no hint. Up to 32 characters of base64url; Apple answers 400 BadWebPushTopic where the
    number of characters is none that base64 can have.
    """
    if notice.purpose is Purpose.MESSAGE:
        return ""
    about = notice.purpose.value if notice.purpose in _ONE_OF_A_KIND else f"call {notice.call}"
    return base64.urlsafe_b64encode(hashlib.sha256(about.encode()).digest()[:18]).decode("ascii")
