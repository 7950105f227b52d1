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
        self._keys = {key_id: (team_id, key)}
        self._teams: dict[str, str] = {}  # of the apps that are not the first team's, by bundle id
        self._clock = clock
        self._update_interval = update_interval
        self._first_team = team_id
        self._newest: dict[str, float] = {}
        self._issued: OrderedDict[str, float] = OrderedDict()
        self._key_ids: dict[str, str] = {}  # of the tokens issued

    def add_team(self, team_id: str, key_id: str, key: ec.EllipticCurvePublicKey, *bundles: str) -> None:
        """Another team with its key; these apps are its own. All others are the first team's."""
        self._keys[key_id] = (team_id, key)
        self._teams |= dict.fromkeys(bundles, team_id)

    def key_id(self, authorization: str) -> str:
        """The id of the key that a good header is signed with."""
        return self._key_ids[authorization.partition(" ")[2].strip()]

    def may(self, key_id: str, topic: str) -> bool:
        """Whether the team of a key may push to a topic."""
        return self._teams.get(topic.removesuffix(".voip"), self._first_team) == self._keys[key_id][0]

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
            if kid not in self._keys:
                return None
            team_id, key = self._keys[kid]
            # PyJWT checks the signature alone: whether iat is acceptable is decided above, by our own clock.
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
            )
        except jwt.InvalidTokenError:
            return None
        issued = claims.get("iat")
        if claims.get("iss") != team_id:
            return None
        return float(issued) if isinstance(issued, int | float) and not isinstance(issued, bool) else None

    def _remember(self, token: str, issued: float, now: float) -> str:
        key_id = str(jwt.get_unverified_header(token)["kid"])
        if now - self._newest.get(key_id, float("-inf")) < self._update_interval:
            return "TooManyProviderTokenUpdates"
        self._newest[key_id] = now
        self._issued[token] = issued
        self._key_ids[token] = key_id
        if len(self._issued) > _REMEMBERED:
            del self._key_ids[self._issued.popitem(last=False)[0]]
        return ""
