"""Browsers' subscriptions: what ``PushManager.subscribe()`` hands to the page, and what the browser keeps for itself."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass(frozen=True, slots=True)
class Subscription:
    """``token`` is the subscription's compact JSON; the private key and ``auth`` never leave the browser."""

    token: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    auth: bytes = field(repr=False)


class Subscriptions:
    """All subscriptions, by the last part of their endpoint's path."""

    def __init__(self) -> None:
        self._by_id: dict[str, Subscription] = {}

    def make(self, base_url: str) -> str:
        """Subscribe a browser: the JSON of its PushSubscription, compact."""
        key, auth, name = (
            ec.generate_private_key(ec.SECP256R1()),
            secrets.token_bytes(16),
            secrets.token_urlsafe(24),
        )
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _unpadded(point), "auth": _unpadded(auth)}
        token = json.dumps({"endpoint": f"{base_url}/push/{name}", "keys": keys}, separators=(",", ":"))
        self._by_id[name] = Subscription(token, key, auth)
        return token

    def get(self, name: str) -> Subscription | None:
        """The subscription whose endpoint ends in ``name``."""
        return self._by_id.get(name)


def _unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
