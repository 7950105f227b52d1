"""A browser's PushSubscription as it comes in its JSON, and what we accept of it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from control.push.errors import PushError

MAX_TOKEN = 4096  # bytes
AUTH = 16  # bytes, RFC 8291 §3.2
POINT = 65  # bytes of an uncompressed point of P-256


class SubscriptionError(PushError):
    """A token is no subscription that can be pushed to. The text says why, without the token."""

    id = "push-subscription"


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where to send (a capability: whoever has the URL may push), and the keys to encrypt with."""

    endpoint: str = field(repr=False)
    origin: str
    host: str
    key: bytes = field(repr=False)
    auth: bytes = field(repr=False)


def parse(token: str) -> Subscription:
    """Read ``{"endpoint": …, "keys": {"p256dh": …, "auth": …}}``; other members are ignored. Raises SubscriptionError."""
    if len(token) > MAX_TOKEN:
        raise SubscriptionError(f"longer than {MAX_TOKEN} bytes: no push service makes such a subscription")
    try:
        raw = json.loads(token) if token.isascii() else None
    except (ValueError, RecursionError):
        raw = None
    keys = raw.get("keys") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(keys, dict):
        raise SubscriptionError("must be the JSON of a PushSubscription: its endpoint and its keys")
    endpoint, origin, host = _endpoint(raw.get("endpoint"))
    key, auth = _decoded(keys, "p256dh"), _decoded(keys, "auth")
    if len(auth) != AUTH:
        raise SubscriptionError(f"keys.auth must be {AUTH} bytes in base64url")
    try:
        if len(key) != POINT:
            raise ValueError
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
    except ValueError:
        raise SubscriptionError("keys.p256dh must be an uncompressed point of P-256 in base64url") from None
    return Subscription(endpoint, origin, host, key, auth)


def _endpoint(value: Any) -> tuple[str, str, str]:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise SubscriptionError("endpoint must be a URL")
    try:
        url = urlsplit(value)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise SubscriptionError("endpoint must be a URL") from None
    if url.scheme != "https":
        raise SubscriptionError("endpoint must be an https URL, as all browsers' are")
    if not host or "@" in url.netloc or port == 0:
        raise SubscriptionError("endpoint must be a URL with a host, and without a user")
    shown = f"[{host}]" if ":" in host else host
    return value, f"https://{shown}" + (f":{port}" if port not in (None, 443) else ""), host


def _decoded(keys: dict[str, Any], name: str) -> bytes:
    value = keys.get(name)
    try:
        if not isinstance(value, str):
            raise ValueError
        text = value.rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise SubscriptionError(f"keys.{name} must be base64url") from None
