"""The browsers' push service over HTTPS: what it takes, what it refuses and how, and what the browser reads.

The sender here is http_ece and PyJWT; the browser's side is the sandbox's own reading of RFC 8188 and RFC 8291.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import http_ece
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from demo.sandbox import ProviderSandbox
from demo.sandbox.errors import BadOrderError
from demo.sandbox.webpush.aes128gcm import UnreadableError, decrypt
from demo.sandbox.webpush.errors import PUSH_ERRORS
from tests.contract.sandbox.conftest import PATIENCE, tls

# autopush's table, written a second time on purpose: the order's name, HTTP status, errno.
MOZILLAS_TABLE = [
    ("MissingCryptoKeys", 400, 101),
    ("InvalidEndpoint", 404, 102),
    ("ExpiredEndpoint", 410, 103),
    ("PayloadTooLarge", 413, 104),
    ("EndpointLost", 410, 105),
    ("InvalidSubscription", 410, 106),
    ("InvalidAuthentication", 401, 109),
    ("KeyMismatch", 403, 109),
    ("InvalidCryptoKeys", 400, 110),
    ("MissingHeader", 400, 111),
    ("InvalidTtl", 400, 112),
    ("InvalidTopic", 400, 113),
    ("BackendUnavailable", 503, 201),
    ("TooManyRequests", 429, 202),
    ("InternalError", 500, 999),
]


def unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def bytes_of(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@dataclass
class WebPushSender:
    """An application server with a VAPID key of its own."""

    sandbox: ProviderSandbox
    session: aiohttp.ClientSession
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_key(self) -> str:
        return unpadded(self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    def browser(self) -> str:
        return self.sandbox.install("webpush", self.public_key)

    def vapid(self, **changes: Any) -> str:
        """A good Authorization header, but for ``changes`` (k, key, lives in seconds, or any claim; None leaves it out)."""
        exp = int(time.time()) + changes.pop("lives", 3600)
        shown, key = changes.pop("k", self.public_key), changes.pop("key", self.key)
        claims = {
            "aud": self.sandbox.webpush_url,
            "exp": exp,
            "sub": "mailto:ops@example.org",
        }
        claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return f"vapid t={jwt.encode(claims, key, algorithm='ES256')}, k={shown}"

    async def push(
        self, token: str, body: bytes | None = None, **changes: str | None
    ) -> tuple[int, dict[str, str], Any]:
        """Push ``body`` (default: a good one) with good headers, but for ``changes`` (_ for -; None leaves one out)."""
        headers: dict[str, str | None] = {
            "Authorization": self.vapid(),
            "TTL": "20",
            "Urgency": "high",
            "Content-Encoding": "aes128gcm",
            **{name.replace("_", "-").title(): value for name, value in changes.items()},
        }
        if "Ttl" in headers:
            headers["TTL"] = headers.pop("Ttl")
        sent = {name: value for name, value in headers.items() if value is not None}
        data = encrypted(token, b'{"call":"c1"}') if body is None else body
        async with self.session.post(json.loads(token)["endpoint"], data=data, headers=sent) as response:
            text = await response.text()
            return response.status, dict(response.headers), json.loads(text) if text else None


def encrypted(token: str, plain: bytes) -> bytes:
    keys = json.loads(token)["keys"]
    body: bytes = http_ece.encrypt(
        plain,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=bytes_of(keys["p256dh"]),
        auth_secret=bytes_of(keys["auth"]),
        version="aes128gcm",
    )
    return body


@pytest.fixture
async def sender(sandbox: ProviderSandbox) -> AsyncIterator[WebPushSender]:
    connector = aiohttp.TCPConnector(ssl=tls(sandbox))
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield WebPushSender(sandbox, session)


async def test_a_subscription_looks_like_a_browsers_and_keeps_its_private_key(
    sandbox: ProviderSandbox, sender: WebPushSender
) -> None:
    subscription = json.loads(sender.browser())
    assert subscription["endpoint"].startswith(f"{sandbox.webpush_url}/push/")
    assert set(subscription) == {"endpoint", "keys"}
    point, auth = bytes_of(subscription["keys"]["p256dh"]), bytes_of(subscription["keys"]["auth"])
    assert (len(point), point[0], len(auth)) == (65, 4, 16)


async def test_a_good_push_is_accepted_recorded_and_read_by_the_browser(
    sandbox: ProviderSandbox, sender: WebPushSender
) -> None:
    token = sender.browser()
    deliveries = sandbox.deliveries(token)
    status, headers, _ = await sender.push(token, topic="call-1")
    assert (status, headers["TTL"]) == (201, "20")
    assert headers["Location"].startswith(f"{sandbox.webpush_url}/message/")
    push = await anext(deliveries)
    assert push == sandbox.pushes[-1]
    assert (push.provider, push.token, push.topic) == ("webpush", token, sender.public_key)
    assert (push.payload, push.priority, push.collapse) == ({"call": "c1"}, "high", "call-1")
    assert push.expires_at == push.received_at + 20
    assert push.provider_id == headers["Location"]


async def test_a_push_without_a_body_wakes_the_browser_too(
    sandbox: ProviderSandbox, sender: WebPushSender
) -> None:
    status, _, _ = await sender.push(sender.browser(), b"", content_encoding=None)
    assert (status, sandbox.pushes[-1].payload) == (201, {})


def test_all_of_mozillas_errors_can_be_ordered() -> None:
    assert {name for name, _, _ in MOZILLAS_TABLE} == set(PUSH_ERRORS)


@pytest.mark.parametrize(("name", "http_status", "errno"), MOZILLAS_TABLE)
async def test_an_ordered_error_has_mozillas_envelope(
    sandbox: ProviderSandbox, sender: WebPushSender, name: str, http_status: int, errno: int
) -> None:
    token = sender.browser()
    sandbox.order("webpush", reason=name, token=token, count=1, retry_after=7)
    status, headers, body = await sender.push(token)
    assert (status, body["code"], body["errno"], headers["Retry-After"]) == (
        http_status,
        http_status,
        errno,
        "7",
    )
    assert (sandbox.pushes[-1].status, sandbox.pushes[-1].reason) == (http_status, name)
    assert (await sender.push(token))[0] == 201


def test_an_error_of_another_provider_cannot_be_ordered() -> None:
    with pytest.raises(BadOrderError, match="webpush has no error 'UNREGISTERED'"):
        ProviderSandbox("127.0.21.1").order("webpush", reason="UNREGISTERED")


async def test_p5_a_browser_that_unsubscribed_is_gone_and_an_unknown_one_not_found(
    sandbox: ProviderSandbox, sender: WebPushSender
) -> None:
    token = sender.browser()
    sandbox.uninstall(token)
    assert (await sender.push(token))[0] == 410
    stranger = json.loads(token)
    stranger["endpoint"] += "x"
    assert (await sender.push(json.dumps(stranger)))[0] == 404
    assert sandbox.pushes[-1].token == ""


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"aud": "https://push.example"}, "InvalidAuthentication"),
        ({"aud": None}, "InvalidAuthentication"),
        ({"lives": -5}, "InvalidAuthentication"),
        ({"lives": 86_400 + 60}, "InvalidAuthentication"),
        ({"exp": None}, "InvalidAuthentication"),
        ({"sub": None}, "InvalidAuthentication"),
        ({"sub": "ops"}, "InvalidAuthentication"),
        ({"key": ec.generate_private_key(ec.SECP256R1())}, "InvalidAuthentication"),
        ({"k": "AAAA"}, "InvalidAuthentication"),
    ],
)
async def test_a_wrong_vapid_token_is_refused(
    sandbox: ProviderSandbox, sender: WebPushSender, changes: dict[str, Any], error: str
) -> None:
    token = sender.browser()
    status, _, _ = await sender.push(token, authorization=sender.vapid(**changes))
    assert (status, sandbox.pushes[-1].reason) == (401, error)


async def test_a_push_without_vapid_or_with_another_scheme_is_refused(sender: WebPushSender) -> None:
    token = sender.browser()
    assert (await sender.push(token, authorization=None))[0] == 401
    assert (await sender.push(token, authorization="Bearer x"))[0] == 401


async def test_another_servers_key_is_not_the_subscriptions(
    sandbox: ProviderSandbox, sender: WebPushSender
) -> None:
    token = sender.browser()
    other = WebPushSender(sandbox, sender.session)
    assert (await other.push(token))[0] == 403
    assert sandbox.pushes[-1].reason == "KeyMismatch"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ttl": None}, "MissingHeader"),
        ({"ttl": "soon"}, "InvalidTtl"),
        ({"ttl": "-1"}, "InvalidTtl"),
        ({"topic": "a b"}, "InvalidTopic"),
        ({"topic": "x" * 33}, "InvalidTopic"),
        ({"topic": "voicemail"}, "InvalidTopic"),
        ({"urgency": "urgent"}, "MissingHeader"),
        ({"content_encoding": "aesgcm"}, "InvalidCryptoKeys"),
    ],
)
async def test_a_wrong_header_is_refused_by_its_error(
    sandbox: ProviderSandbox, sender: WebPushSender, changes: dict[str, str | None], error: str
) -> None:
    assert (await sender.push(sender.browser(), None, **changes))[0] == 400
    assert sandbox.pushes[-1].reason == error


async def test_a_body_that_is_too_large_or_for_another_browser_is_refused(
    sandbox: ProviderSandbox, sender: WebPushSender
) -> None:
    token, other = sender.browser(), sender.browser()
    assert (await sender.push(token, encrypted(token, b"x" * 3993)))[0] == 201
    assert (await sender.push(token, encrypted(token, b"x" * 3994)))[0] == 413
    assert (await sender.push(token, encrypted(other, b"x")))[0] == 400
    assert (await sender.push(token, b"x" * 200))[0] == 400


async def test_p5_a_push_of_the_same_topic_replaces_the_one_that_still_waits(
    sandbox: ProviderSandbox, sender: WebPushSender
) -> None:
    token = sender.browser()
    for text, topic in ((b'{"n":1}', "aa"), (b'{"n":2}', "bb"), (b'{"n":3}', "aa")):
        await sender.push(token, encrypted(token, text), topic=topic)
    await sender.push(token, encrypted(token, b'{"n":4}'), ttl="0")
    with sandbox.deliveries(token) as deliveries:
        deliveries.close()
        assert [push.payload["n"] async for push in deliveries] == [2, 3]


async def test_faults_and_delays(sandbox: ProviderSandbox, sender: WebPushSender) -> None:
    token = sender.browser()
    sandbox.order("webpush", fault="bad_gateway", count=1)
    async with sender.session.post(json.loads(token)["endpoint"], data=b"", headers={}) as response:
        assert (response.status, response.content_type) == (502, "text/html")
    sandbox.order("webpush", fault="close", count=1)
    with pytest.raises(aiohttp.ClientError):
        await sender.push(token)
    sandbox.order("webpush", fault="hang", count=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await sender.push(token)
    assert [push.reason for push in sandbox.pushes] == ["bad_gateway", "close", "hang"]
    sandbox.order("webpush", delay_ms=50, count=1)
    began = time.monotonic()
    assert (await sender.push(token))[0] == 201
    assert time.monotonic() - began >= 0.05


# RFC 8291, Appendix A.
RFC_PLAIN = b"When I grow up, I want to be a watermelon"
RFC_BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
    "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
RFC_AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
RFC_UA_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"


def rfc_key() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(bytes_of(RFC_UA_KEY)), ec.SECP256R1())


def test_the_browser_reads_the_example_of_rfc_8291() -> None:
    assert decrypt(bytes_of(RFC_BODY), rfc_key(), bytes_of(RFC_AUTH)) == RFC_PLAIN


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes_of(RFC_BODY)[:-1],
        bytes_of(RFC_BODY)[:-1] + b"\0",
        b"\0" * 200,
        bytes_of(RFC_BODY)[:16] + b"\0\0\0\x11" + bytes_of(RFC_BODY)[20:],
        bytes_of(RFC_BODY)[:21] + b"\x04" + b"\0" * 64 + bytes_of(RFC_BODY)[86:],
    ],
)
def test_the_browser_throws_away_what_is_not_whole(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        decrypt(body, rfc_key(), bytes_of(RFC_AUTH))
