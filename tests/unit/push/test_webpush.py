"""Web Push, decided: what is a subscription, where pushes may go, what they look like, who signs them."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from control.domain.push import Outcome, Purpose, PushNotice
from control.push.https import HttpAnswer
from control.push.webpush import vapid
from control.push.webpush.message import encrypt, headers, payload
from control.push.webpush.provider import verdict
from control.push.webpush.public_hosts import Allowed, PrivateAddressError, PublicResolver
from control.push.webpush.settings import WebPushSettings
from control.push.webpush.subscription import Subscription, SubscriptionError, parse
from tests.unit.edge.name_server import name_server

NOW = 1_800_000_000.0
NOTICE = PushNotice("k7f3", "w1", NOW + 20.9)
# The browser's keys of RFC 8291, Appendix A.
P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
UA_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"


def bytes_of(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def token(**changes: Any) -> str:
    keys = {"p256dh": changes.pop("p256dh", P256DH), "auth": changes.pop("auth", AUTH)}
    return json.dumps({"endpoint": "https://push.example/x/abc", "keys": keys, **changes})


def test_a_browsers_subscription_is_read() -> None:
    subscription = parse(token(expirationTime=None))
    assert (subscription.endpoint, subscription.origin) == (
        "https://push.example/x/abc",
        "https://push.example",
    )
    assert (subscription.host, subscription.key, subscription.auth) == (
        "push.example",
        bytes_of(P256DH),
        bytes_of(AUTH),
    )
    assert "abc" not in repr(subscription)


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://push.example:443/x", "https://push.example"),
        ("https://push.example:8443/x", "https://push.example:8443"),
        ("https://PUSH.example/x", "https://push.example"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443"),
    ],
)
def test_the_origin_is_what_a_push_service_calls_itself(endpoint: str, origin: str) -> None:
    assert parse(token(endpoint=endpoint)).origin == origin


def test_padding_is_forgiven() -> None:
    assert parse(token(p256dh=P256DH + "=", auth=AUTH + "==")).auth == bytes_of(AUTH)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be the JSON of a PushSubscription"),
        ("{", "must be the JSON"),
        ("[]", "must be the JSON"),
        ('"x"', "must be the JSON"),
        ('{"endpoint":"https://push.example/x"}', "must be the JSON"),
        ("[" * 4000, "must be the JSON"),
        (token(extra="é").encode().decode("unicode_escape"), "must be the JSON"),
        (token(x="x" * 5000), "longer than 4096 bytes"),
        (token(endpoint=None), "endpoint must be a URL"),
        (token(endpoint="https://push.example/ x"), "endpoint must be a URL"),
        (token(endpoint="https://push.example/\r\nX: y"), "endpoint must be a URL"),
        (token(endpoint="https://push.example:port/x"), "endpoint must be a URL"),
        (token(endpoint="https://[::1/x"), "endpoint must be a URL"),
        (token(endpoint="http://push.example/x"), "endpoint must be an https URL"),
        (token(endpoint="file:///etc/passwd"), "endpoint must be an https URL"),
        (token(endpoint="https:///x"), "without a user"),
        (token(endpoint="https://me@push.example/x"), "without a user"),
        (token(endpoint="https://push.example:0/x"), "without a user"),
        (token(p256dh=None), "keys.p256dh must be base64url"),
        (token(p256dh="!!!"), "keys.p256dh must be base64url"),
        (token(p256dh=P256DH[:-4]), "keys.p256dh must be an uncompressed point"),
        (token(p256dh="B" + "A" * 86), "keys.p256dh must be an uncompressed point"),
        (token(auth="AAAA"), "keys.auth must be 16 bytes"),
        (token(auth=7), "keys.auth must be base64url"),
    ],
)
def test_what_is_no_subscription_is_refused_with_the_reason_and_without_the_token(
    text: str, why: str
) -> None:
    with pytest.raises(SubscriptionError, match=why) as error:
        parse(text)
    assert "push.example" not in str(error.value)


@given(st.one_of(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)))
def test_nothing_that_is_brought_as_a_token_breaks_the_reader(text: str) -> None:
    with pytest.raises(SubscriptionError):
        parse(text)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1"),
        *("192.0.2.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::"),
    ],
)
def test_an_address_that_only_we_can_reach_is_not_sent_to(address: str) -> None:
    assert not Allowed(()).address(address)
    assert not Allowed(()).host(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_a_public_address_is_sent_to(address: str) -> None:
    assert Allowed(()).address(address)


def test_a_private_network_is_sent_to_if_the_settings_say_so() -> None:
    allowed = Allowed(("127.0.0.0/8", "fd00::/8"))
    assert allowed.host("127.0.0.9")
    assert allowed.host("fd00::1")
    assert not allowed.host("10.0.0.1")
    assert allowed.host("push.example")


async def test_a_name_is_followed_to_its_public_addresses_alone() -> None:
    async with name_server() as server:
        server.put("mixed.example", "A", "10.0.0.1", "1.1.1.1")
        server.put("mixed.example", "AAAA", "fd00::1")
        server.put("inside.example", "A", "192.168.1.1")
        resolver = PublicResolver(Allowed(()), server.resolver())
        found = await resolver.resolve("mixed.example", 443, socket.AF_UNSPEC)
        assert [(each["host"], each["port"], each["family"]) for each in found] == [
            ("1.1.1.1", 443, socket.AF_INET)
        ]
        with pytest.raises(PrivateAddressError, match=r"inside\.example leads to no public address"):
            await resolver.resolve("inside.example", 443, socket.AF_INET)
        with pytest.raises(OSError, match=r"nowhere\.example") as error:
            await resolver.resolve("nowhere.example", 443, socket.AF_INET)
        assert not isinstance(error.value, PrivateAddressError)


def test_p6_the_payload_is_small_and_opaque() -> None:
    assert payload(NOTICE) == b'{"type":"call","call":"k7f3","wake":"w1"}'
    over = PushNotice("k7f3", "w1", NOW, purpose=Purpose.OVER, caller="A" * 300)
    assert json.loads(payload(over)) == {"type": "over", "call": "k7f3", "wake": "w1", "caller": "A" * 200}


def test_p4_a_push_lives_as_long_as_the_call_and_not_a_second_longer() -> None:
    assert headers(NOTICE, NOW)["TTL"] == "20"
    assert headers(NOTICE, NOW + 30)["TTL"] == "0"


def test_p5_over_has_the_topic_of_its_call_and_another_call_another() -> None:
    def topic(purpose: Purpose, call: str = "k7f3") -> str | None:
        return headers(PushNotice(call, "w", NOW + 5, purpose=purpose), NOW).get("Topic")

    assert topic(Purpose.CALL) == topic(Purpose.OVER) != topic(Purpose.CALL, "other")
    assert topic(Purpose.MESSAGE) is None
    assert topic(Purpose.VOICEMAIL) == topic(Purpose.VOICEMAIL, "other") != topic(Purpose.REFRESH)
    for purpose in set(Purpose) - {Purpose.MESSAGE}:
        assert len(topic(purpose) or "") == 24  # Apple takes no length that base64 cannot have


def test_what_is_encrypted_can_be_read_with_the_browsers_keys_alone() -> None:
    subscription = parse(token())
    body = encrypt(payload(NOTICE), subscription)
    key = ec.derive_private_key(int.from_bytes(bytes_of(UA_KEY)), ec.SECP256R1())
    assert http_ece.decrypt(body, private_key=key, auth_secret=bytes_of(AUTH)) == payload(NOTICE)
    assert encrypt(payload(NOTICE), subscription) != body


def test_each_key_is_new_and_its_public_half_is_a_point(tmp_path: Path) -> None:
    path = tmp_path / "vapid.pem"
    path.write_text(vapid.new_key())
    public = vapid.public_key(path)
    assert public == vapid.Vapid(vapid.read_key(path), "mailto:a@example.org", lambda: NOW).public_key
    assert (len(bytes_of(public)), bytes_of(public)[0], len(public)) == (65, 4, 87)
    path.write_text(vapid.new_key())
    assert vapid.public_key(path) != public


def test_tokens_of_push_services_that_are_asked_no_more_are_not_kept_for_ever() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = vapid.Vapid(key, "mailto:a@example.org", lambda: NOW)
    for number in range(vapid.REMEMBERED + 5):
        signer.header(f"https://host{number}.example")
    assert len(signer._headers) <= vapid.REMEMBERED


@pytest.mark.parametrize(
    "contact", ["mailto:ops@example.org", "https://example.org", "https://example.org/c?x"]
)
def test_a_contact_that_can_be_written_to_is_taken(contact: str) -> None:
    assert WebPushSettings(contact).contact == contact


@pytest.mark.parametrize(
    "contact",
    [
        *("", "ops@example.org", "mailto:ops", "mailto:ops@localhost", "mailto: ops@example.org"),
        *("mailto:<ops@example.org>", "https://localhost", "http://example.org"),
    ],
)
def test_a_contact_that_apple_would_refuse_is_refused(contact: str) -> None:
    with pytest.raises(ValueError, match="contact must be an address"):
        WebPushSettings(contact)


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"allow_private: .*'127\.0\.0\.1/99'"):
        WebPushSettings("mailto:ops@example.org", allow_private=("127.0.0.1/99",))


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason"),
    [
        (403, b'{"reason":"BadJwtToken"}', Outcome.MISCONFIGURED, "BadJwtToken"),
        (400, b'{"reason":"VapidPkHashMismatch"}', Outcome.MISCONFIGURED, "VapidPkHashMismatch"),
        (403, b'{"reason":"VapidPkHashMismatch"}', Outcome.MISCONFIGURED, "VapidPkHashMismatch"),
        (400, b'{"reason":"BadWebPushTopic"}', Outcome.REJECTED, "BadWebPushTopic"),
        (403, b'{"reason":"Random123"}', Outcome.MISCONFIGURED, ""),
        (403, b'{"errno":123456}', Outcome.MISCONFIGURED, ""),
        (410, b"push subscription has unsubscribed or expired.\n", Outcome.TOKEN_DEAD, ""),
        (404, b'{"errno":102}', Outcome.TOKEN_DEAD, "errno 102"),
        (406, b"", Outcome.RETRY, ""),
        (413, b'{"reason":"<script>"}', Outcome.REJECTED, ""),
        (413, b'{"errno":true}', Outcome.REJECTED, ""),
        (307, b"", Outcome.REJECTED, ""),
        (599, b"[]", Outcome.RETRY, ""),
    ],
)
def test_each_vendors_word_is_understood(status: int, body: bytes, outcome: Outcome, reason: str) -> None:
    found = verdict(HttpAnswer(status, body, {}), NOW)
    assert (found.outcome, found.reason) == (outcome, reason)


def test_the_name_of_a_push_is_too_little_to_take_it_back() -> None:
    name = "m" * 100
    answer = HttpAnswer(201, b"", {"Location": f"https://push.example/message/{name}"})
    assert verdict(answer, NOW).provider_id == name[:40]
    for location in ({}, {"Location": "https://push.example/<b>"}):
        assert verdict(HttpAnswer(201, b"", location), NOW).provider_id == ""


def test_a_subscription_is_a_value() -> None:
    assert isinstance(parse(token()), Subscription)
    assert parse(token()) == parse(token())
