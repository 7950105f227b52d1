"""Google's token endpoint: who gets an access token, how long it holds, and how it fails."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import google.auth.transport.requests
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2 import service_account

from demo.sandbox import ProviderSandbox
from demo.sandbox.fcm.errors import OAUTH_ERRORS
from demo.sandbox.fcm.oauth import GRANT_TYPE, AccessTokens

if TYPE_CHECKING:
    from tests.contract.sandbox.conftest import FcmSender

PACKAGE = "org.example.phone"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


async def test_google_auth_itself_gets_a_token_that_pushes(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    with requests.Session() as session:
        session.trust_env = False  # a CA bundle in the environment would overrule the next line
        session.verify = str(sandbox.credentials.ca_file)
        load: Any = service_account.Credentials.from_service_account_file
        credentials = load(str(sandbox.credentials.service_account_file), scopes=[SCOPE])
        await asyncio.to_thread(credentials.refresh, google.auth.transport.requests.Request(session))
    fcm.access_token = credentials.token
    assert (await fcm.push(sandbox.install("fcm", PACKAGE)))[0] == 200


async def test_a_good_assertion_buys_a_bearer_token(fcm: FcmSender) -> None:
    status, body = await fcm.exchange(fcm.assertion())
    assert status == 200
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3599)
    assert body["access_token"] != fcm.access_token


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        ("invalid_grant", {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}),
        ("invalid_grant", {"iss": "mallory@example.org"}),
        ("invalid_grant", {"aud": "https://example.org/token"}),
        ("invalid_grant", {"iat": int(time.time()) - 7200, "exp": int(time.time()) - 3600}),
        ("invalid_grant", {"exp": int(time.time()) + 7200}),
        ("invalid_grant", {"iat": int(time.time()) + 1800}),
        ("invalid_grant", {"iat": "now"}),
        ("invalid_scope", {"scope": "https://www.googleapis.com/auth/drive"}),
    ],
)
async def test_a_wrong_assertion_is_refused(fcm: FcmSender, error: str, changes: dict[str, Any]) -> None:
    status, body = await fcm.exchange(fcm.assertion(**changes))
    assert (status, body["error"]) == (400, error)
    assert body["error_description"]


async def test_another_grant_type_is_refused(fcm: FcmSender) -> None:
    assert (await fcm.exchange(fcm.assertion(), "password"))[1]["error"] == "unsupported_grant_type"
    assert (await fcm.exchange(""))[1]["error"] == "invalid_request"
    assert (await fcm.exchange("nonsense"))[1]["error"] == "invalid_grant"


@pytest.mark.parametrize("error", sorted(OAUTH_ERRORS))
async def test_an_ordered_oauth_error_meets_the_exchange_and_spares_the_pushes(
    sandbox: ProviderSandbox, fcm: FcmSender, error: str
) -> None:
    sandbox.order("fcm", endpoint="token", reason=error, count=1)
    assert (await fcm.push(sandbox.install("fcm", PACKAGE)))[0] == 200
    status, body = await fcm.exchange(fcm.assertion())
    assert (status, body["error"]) == (OAUTH_ERRORS[error], error)
    assert (await fcm.exchange(fcm.assertion()))[0] == 200


@pytest.mark.parametrize("access_token", ["", "ya29.made-up"])
async def test_a_wrong_access_token_is_unauthenticated(
    sandbox: ProviderSandbox, fcm: FcmSender, access_token: str
) -> None:
    fcm.access_token = access_token
    status, body = await fcm.push(sandbox.install("fcm", PACKAGE))
    assert (status, body["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert [detail["@type"] for detail in body["error"]["details"]] == [
        "type.googleapis.com/google.rpc.ErrorInfo"
    ]


async def test_a_revoked_access_token_is_unauthenticated(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    sandbox.access_tokens.revoke_all()
    assert (await fcm.push(sandbox.install("fcm", PACKAGE)))[0] == 401


async def test_an_access_token_ages_out(fcm: FcmSender) -> None:
    now = time.time()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    clock = [now]
    tokens = AccessTokens(key.public_key(), "pusher@example.org", "project-1", lambda: clock[0], life=100)
    tokens.token_uri = f"{fcm.sandbox.fcm_url}/token"
    grant = tokens.exchange(GRANT_TYPE, fcm.assertion(key=key, iss="pusher@example.org"))
    header = f"Bearer {grant.access_token}"
    assert tokens.refusal(header) == ""
    clock[0] = now + 101
    assert tokens.refusal(header) == "ACCESS_TOKEN_EXPIRED"
