"""Who pushes: the VAPID key of this installation, and the tokens signed with it (RFC 8292)."""

from __future__ import annotations

import base64
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from control.push.errors import PushCredentialsError
from control.push.port import Clock

# A token may live for 24 hours (RFC 8292 §2): at half of that, a clock that is wrong by eleven hours does no harm.
LIFETIME = 12 * 3600
RENEW_AFTER = 6 * 3600
REMEMBERED = 1000  # push services whose token is kept


def new_key() -> str:
    """A new private key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii").strip()


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key of a PEM file. Raises PushCredentialsError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise PushCredentialsError(
            f"push.webpush.key_file {path}: {error.strerror}; `nightbell init` writes it"
        ) from None
    except (ValueError, TypeError):
        raise PushCredentialsError(
            f"push.webpush.key_file {path} is no private key in PEM; `nightbell init` writes one if there is no file"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PushCredentialsError(
            f"push.webpush.key_file {path} holds a key of another kind: Web Push wants P-256"
        )
    return key


def public_key(path: Path) -> str:
    """What a page gives to ``PushManager.subscribe()`` as its applicationServerKey. Raises PushCredentialsError."""
    return shown(read_key(path))


def shown(key: ec.EllipticCurvePrivateKey) -> str:
    """The public half as browsers and push services write it: the point, in base64url without padding."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode("ascii")


class Vapid:
    """The Authorization headers for push services; one is signed for each service, and used for hours."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, contact: str, clock: Clock) -> None:
        self._key = key
        self._contact = contact
        self._clock = clock
        self._headers: dict[str, tuple[float, str]] = {}
        self.public_key = shown(key)

    def header(self, origin: str) -> str:
        """For the push service at an origin (``https://host`` or ``https://host:port``)."""
        now = self._clock()
        signed_at, header = self._headers.get(origin, (0.0, ""))
        if not 0 <= now - signed_at < RENEW_AFTER:
            if len(self._headers) >= REMEMBERED:
                self._headers.clear()
            claims = {"aud": origin, "exp": int(now) + LIFETIME, "sub": self._contact}
            header = f"vapid t={jwt.encode(claims, self._key, algorithm='ES256')}, k={self.public_key}"
            self._headers[origin] = (now, header)
        return header
