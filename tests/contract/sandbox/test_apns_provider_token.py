"""The provider token: who signed it, which key, how old."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.sandbox.apns.provider_token import ProviderTokens

NOW = 1_700_000_000.0
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> ProviderTokens:
    return ProviderTokens(KEY.public_key(), "KEY1234567", "TEAM123456", clock)


def bearer(key: Any = KEY, kid: str = "KEY1234567", algorithm: str = "ES256", **changes: Any) -> str:
    claims = {"iss": "TEAM123456", "iat": int(NOW), **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return f"bearer {jwt.encode(claims, key, algorithm=algorithm, headers={'kid': kid})}"


def unsigned() -> str:
    return f"bearer {jwt.encode({'iss': 'TEAM123456', 'iat': int(NOW)}, '', algorithm='none')}"


def signed_with_the_public_key_as_a_secret() -> str:
    # The classic confusion: a verifier that lets the token choose HS256 takes its public key for a shared secret.
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = KEY.public_key().public_bytes(serialization.Encoding.PEM, spki)
    header, claims = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "kid": "KEY1234567"}, {"iss": "TEAM123456", "iat": int(NOW)})
    )
    signature = hmac.digest(secret, header + b"." + claims, "sha256")
    encoded = base64.urlsafe_b64encode(signature).rstrip(b"=")
    return f"bearer {b'.'.join((header, claims, encoded)).decode()}"


@pytest.mark.parametrize(
    "header",
    [bearer(), bearer().replace("bearer", "Bearer"), bearer(iat=int(NOW) - 3600), bearer(iat=NOW + 59)],
)
def test_a_good_token_passes(tokens: ProviderTokens, header: str) -> None:
    assert tokens.refusal(header) == ""


@pytest.mark.parametrize(
    ("expected", "header"),
    [
        ("MissingProviderToken", None),
        ("MissingProviderToken", ""),
        ("MissingProviderToken", "bearer"),
        ("MissingProviderToken", "Basic YTpi"),
        ("InvalidProviderToken", "bearer nonsense"),
        ("InvalidProviderToken", "bearer a.b.c"),
        ("InvalidProviderToken", bearer(OTHER_KEY)),
        ("InvalidProviderToken", bearer()[:-6] + "AAAAAA"),
        ("InvalidProviderToken", bearer(kid="OTHER12345")),
        ("InvalidProviderToken", bearer(iss="OTHER12345")),
        ("InvalidProviderToken", bearer(iss=None)),
        ("InvalidProviderToken", bearer(iat=None)),
        ("InvalidProviderToken", bearer(iat="now")),
        ("InvalidProviderToken", bearer(iat=int(NOW) + 61)),
        ("InvalidProviderToken", unsigned()),
        ("InvalidProviderToken", signed_with_the_public_key_as_a_secret()),
        ("ExpiredProviderToken", bearer(iat=int(NOW) - 3601)),
    ],
)
def test_a_wrong_token_is_refused_for_apples_reason(
    tokens: ProviderTokens, expected: str, header: str | None
) -> None:
    assert tokens.refusal(header) == expected
    assert tokens.refusal(header) == expected, "the second look must not be kinder than the first"


def test_p8_a_token_that_was_good_ages_out(tokens: ProviderTokens, clock: Clock) -> None:
    header = bearer()
    assert tokens.refusal(header) == ""
    clock.now = NOW + 3600
    assert tokens.refusal(header) == ""
    clock.now = NOW + 3601
    assert tokens.refusal(header) == "ExpiredProviderToken"


def test_a_signature_is_verified_once(tokens: ProviderTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = jwt.decode

    def counting(token: str, *args: Any, **options: Any) -> Any:
        decoded.append(token)
        return decode(token, *args, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    header = bearer()
    assert [tokens.refusal(header) for _ in range(5)] == [""] * 5
    assert len(decoded) == 1


def test_p8_tokens_renewed_too_often_are_refused_when_asked_for(clock: Clock) -> None:
    tokens = ProviderTokens(KEY.public_key(), "KEY1234567", "TEAM123456", clock, update_interval=1200)
    first = bearer()
    assert tokens.refusal(first) == ""
    clock.now = NOW + 600
    assert tokens.refusal(bearer(iat=int(NOW) + 600)) == "TooManyProviderTokenUpdates"
    assert tokens.refusal(first) == "", "the token in use stays good"
    clock.now = NOW + 1200
    assert tokens.refusal(bearer(iat=int(NOW) + 1200)) == ""


def test_memory_of_tokens_is_bounded(tokens: ProviderTokens) -> None:
    first = bearer()
    assert tokens.refusal(first) == ""
    for number in range(300):
        assert tokens.refusal(bearer(n=number)) == ""
    assert tokens.refusal(first) == "", "a forgotten token is simply verified again"
