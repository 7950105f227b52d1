"""Who pushes: the ``vapid`` authorization of RFC 8292, and what is wrong with one."""

from __future__ import annotations

import base64
import re

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

LONGEST_LIFE = 24 * 3600  # seconds
_AUTHORIZATION = re.compile(r"vapid\s+(?=.*\bt=([\w.\-]+))(?=.*\bk=([\w\-]+))", re.IGNORECASE)


def unpadded(value: str) -> bytes:
    """The bytes of base64url without padding. Raises ValueError."""
    return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)


def refusal(authorization: str | None, origin: str, subscribed_key: str, now: float) -> str:
    """The name of the error that answers a request with this Authorization header; empty: it is right.

    ``subscribed_key`` is the application server's public key that the browser subscribed with.
    """
    if authorization is None:
        return "InvalidAuthentication"
    match = _AUTHORIZATION.match(authorization)
    if match is None:
        return "InvalidAuthentication"
    token, key = match.groups()
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unpadded(key))
        claims = jwt.decode(
            token,
            public,
            algorithms=["ES256"],
            options={"verify_aud": False, "verify_exp": False, "require": ["aud", "exp", "sub"]},
        )
    except (ValueError, jwt.InvalidTokenError):
        return "InvalidAuthentication"
    if claims["aud"] != origin or not now < claims["exp"] <= now + LONGEST_LIFE:
        return "InvalidAuthentication"
    if not str(claims["sub"]).startswith(("mailto:", "https://")):
        return "InvalidAuthentication"
    return "" if key == subscribed_key else "KeyMismatch"
