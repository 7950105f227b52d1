"""Google's OAuth token endpoint for service accounts: a signed assertion in, an access token out.

Sources: RFC 7523 (jwt-bearer); developers.google.com/identity/protocols/oauth2/service-account.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# google-auth always names Google's own endpoint as the audience, whatever token_uri says.
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    }
)
MAX_ASSERTION_LIFE = 3600
LEEWAY = 300


@dataclass(frozen=True, slots=True)
class Grant:
    """A new access token, or the error of RFC 6749 §5.2 with its explanation."""

    access_token: str = ""
    error: str = ""
    description: str = ""


class AccessTokens:
    """Issues access tokens for assertions signed by one service account; ``life`` is in seconds."""

    def __init__(
        self,
        key: rsa.RSAPublicKey,
        client_email: str,
        project_id: str,
        clock: Callable[[], float],
        life: float = 3599.0,
    ) -> None:
        self._accounts = {client_email: (project_id, key)}
        self._clock = clock
        self._expiry: dict[str, float] = {}
        self._projects: dict[str, str] = {}  # by access token
        self.life = life
        self.token_uri = ""

    def add_account(self, project_id: str, client_email: str, key: rsa.RSAPublicKey) -> None:
        """Another project's service account."""
        self._accounts[client_email] = (project_id, key)

    def project(self, authorization: str) -> str:
        """The project that a good ``Authorization`` header may send for."""
        return self._projects[authorization.partition(" ")[2].strip()]

    def exchange(self, grant_type: str, assertion: str) -> Grant:
        """Answer one token request."""
        if grant_type != GRANT_TYPE:
            return Grant(error="unsupported_grant_type", description=f"Invalid grant_type: {grant_type}")
        if not assertion:
            return Grant(error="invalid_request", description="Missing required parameter: assertion")
        refused = self._refusal(assertion)
        if refused:
            return refused
        now = self._clock()
        self._expiry = {token: expiry for token, expiry in self._expiry.items() if expiry > now}
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self._expiry[token] = now + self.life
        issuer = jwt.decode(assertion, options={"verify_signature": False})["iss"]
        self._projects = {old: project for old, project in self._projects.items() if old in self._expiry}
        self._projects[token] = self._accounts[issuer][0]
        return Grant(access_token=token)

    def refusal(self, authorization: str | None) -> str:
        """Why an ``Authorization`` header is refused, in google.rpc.ErrorInfo's words; empty when good."""
        if not authorization:
            return "CREDENTIALS_MISSING"
        scheme, _, token = authorization.partition(" ")
        expiry = self._expiry.get(token.strip())
        if scheme.lower() != "bearer" or expiry is None:
            return "ACCESS_TOKEN_TYPE_UNSUPPORTED"
        return "" if expiry > self._clock() else "ACCESS_TOKEN_EXPIRED"

    def revoke_all(self) -> None:
        """Forget every access token issued, as when the account's key is withdrawn."""
        self._expiry.clear()

    def _refusal(self, assertion: str) -> Grant | None:
        try:
            issuer = jwt.decode(assertion, options={"verify_signature": False}).get("iss")
            if issuer not in self._accounts:
                return Grant(error="invalid_grant", description="Invalid grant: account not found")
            claims = jwt.decode(
                assertion,
                self._accounts[issuer][1],
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_iat": False, "verify_exp": False},
            )
        except jwt.InvalidTokenError:
            return Grant(error="invalid_grant", description="Invalid JWT Signature.")
        if claims.get("aud") not in (self.token_uri, GOOGLE_AUDIENCE):
            return Grant(error="invalid_grant", description="Invalid JWT: Failed audience check.")
        if not self._is_timely(claims.get("iat"), claims.get("exp")):
            text = (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            )
            return Grant(error="invalid_grant", description=text)
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            return Grant(
                error="invalid_scope", description="Invalid OAuth scope or ID token audience provided."
            )
        return None

    def _is_timely(self, issued: object, expires: object) -> bool:
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            return False
        now = self._clock()
        return issued <= now + LEEWAY and now - LEEWAY < expires <= issued + MAX_ASSERTION_LIFE
