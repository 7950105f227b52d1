"""The signed token (JWT, ES256) that names us to APNs: one for all connections, renewed in time.

Source: Apple, "Establishing a token-based connection to APNs": refused when older than an hour, and when
renewed more often than every 20 minutes.
"""

from __future__ import annotations

from pathlib import Path

import jwt
from aioapns.connection import AuthorizationHeaderProvider
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from control.push.errors import PushCredentialsError
from control.push.port import Clock

LIFETIME = 40 * 60.0  # seconds
YOUNG = 60.0  # seconds; a token refused as expired at this age points to our clock, not to its age


def read_key(path: Path) -> EllipticCurvePrivateKey:
    """The signing key of a ``.p8`` file. Raises PushCredentialsError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise PushCredentialsError(f"push.apns.keys: key_file {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise PushCredentialsError(
            f"push.apns.keys: key_file {path} is no private key: give the AuthKey_….p8 file from Apple's developer pages"
        ) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise PushCredentialsError(
            f"push.apns.keys: key_file {path} holds a key of another kind: APNs wants P-256"
        )
    return key


class ProviderToken(AuthorizationHeaderProvider):
    """The ``authorization`` header; aioapns signs one per connection and never again when APNs calls it old."""

    def __init__(self, key: EllipticCurvePrivateKey, key_id: str, team_id: str, clock: Clock) -> None:
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._clock = clock
        self._issued_at = 0.0
        self._header = ""

    def __repr__(self) -> str:
        return f"ProviderToken(key_id={self._key_id!r}, team_id={self._team_id!r}, key=***)"

    def get_header(self) -> str:
        """The header's value, signed anew (about 0.1 ms) when the last is too old or from the future."""
        if not self._header or not 0 <= self._clock() - self._issued_at < LIFETIME:
            self._sign()
        return self._header

    def replace(self, refused: str) -> bool:
        """APNs called ``refused`` expired. True when another header is at hand now, so that a resend makes sense."""
        if refused == self._header:
            if abs(self._clock() - self._issued_at) < YOUNG:
                return False
            self._sign()
        return True

    def _sign(self) -> None:
        issued_at = self._clock()
        token = jwt.encode(
            {"iss": self._team_id, "iat": int(issued_at)},
            self._key,
            algorithm="ES256",
            headers={"kid": self._key_id},
        )
        self._header = f"bearer {token}"
        self._issued_at = issued_at
