"""The sender's proof of identity: a JSON Web Token signed with ES256.

Source: developer.apple.com, "Establishing a token-based connection to APNs": header ``alg`` and ``kid``,
claims ``iss`` (team id) and ``iat``; a token older than an hour is refused.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

MAX_AGE = 3600.0
# Apple names no figure for clocks that are ahead; senders with a wrong clock see InvalidProviderToken.
MAX_AHEAD = 60.0
_REMEMBERED = 256


class ProviderTokens:
    """Checks provider tokens; a good signature is verified once, since senders reuse their token.

    ``update_interval``: seconds that must lie between two different tokens (Apple: 1200); 0 does not ask.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePublicKey,
        key_id: str,
        team_id: str,
        clock: Callable[[], float],
        update_interval: float = 0.0,
    ) -> None:
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._clock = clock
        self._update_interval = update_interval
        self._newest = float("-inf")
        self._issued: OrderedDict[str, float] = OrderedDict()

    def refusal(self, authorization: str | None) -> str:
        """The reason Apple would refuse this ``authorization`` header for, empty when it is good."""
        if not authorization:
            return "MissingProviderToken"
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return "MissingProviderToken"
        issued = self._issued.get(token)
        if issued is None:
            issued = self._verify(token)
            if issued is None:
                return "InvalidProviderToken"
        now = self._clock()
        if issued < now - MAX_AGE:
            return "ExpiredProviderToken"
        if issued > now + MAX_AHEAD:
            return "InvalidProviderToken"
        return "" if token in self._issued else self._remember(token, issued, now)

    def _verify(self, token: str) -> float | None:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            # PyJWT checks the signature alone: whether iat is acceptable is decided above, by our own clock.
            claims: dict[str, Any] = jwt.decode(
                token, self._key, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
            )
        except jwt.InvalidTokenError:
            return None
        issued = claims.get("iat")
        if kid != self._key_id or claims.get("iss") != self._team_id:
            return None
        return float(issued) if isinstance(issued, int | float) and not isinstance(issued, bool) else None

    def _remember(self, token: str, issued: float, now: float) -> str:
        if now - self._newest < self._update_interval:
            return "TooManyProviderTokenUpdates"
        self._newest = now
        self._issued[token] = issued
        if len(self._issued) > _REMEMBERED:
            self._issued.popitem(last=False)
        return ""
