"""What is written into a push: nothing that names a person, nothing that outlives the call."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from control.domain.push import ALERT, VOIP, Purpose, PushNotice, PushToken
from control.push import retry_after
from control.push.apns.provider_token import LIFETIME, YOUNG, ProviderToken, read_key
from control.push.apns.request import MAX_BODY, ApnsRequest, style
from control.push.errors import PushCredentialsError
from control.push.fcm.access_token import read_service_account
from control.push.fcm.message import message

TOKEN = PushToken("apns", "org.example.phone.voip", "production", "c0ffee00")
NOTICE = PushNotice(call="k7f3", wake="w1", deadline=1700000020.9)
ALERT_TOKEN = PushToken("apns", "org.example.phone", "production", "beef", ALERT)


def request(token: PushToken, notice: PushNotice) -> ApnsRequest:
    how = style(token.kind, notice.purpose)
    assert how is not None
    made = ApnsRequest(token, notice, how)
    made.authorization = "bearer x"
    return made


def headers_of(made: ApnsRequest) -> dict[bytes, bytes]:
    return dict(made.headers(b"api.push.apple.com"))


def test_p1_a_voip_push_has_the_right_headers_and_ends_at_the_deadline() -> None:
    headers = headers_of(request(TOKEN, NOTICE))
    assert headers[b":path"] == b"/3/device/c0ffee00"
    assert headers[b"apns-topic"] == b"org.example.phone.voip"
    assert headers[b"apns-push-type"] == b"voip"
    assert headers[b"apns-priority"] == b"10"
    assert headers[b"apns-expiration"] == b"1700000020"
    assert headers[b"authorization"] == b"bearer x"
    assert len(headers[b"apns-id"]) == 36


def test_p6_the_payloads_hold_references_and_no_person() -> None:
    assert json.loads(request(TOKEN, NOTICE).body) == {
        "nightbell": {"type": "call", "call": "k7f3", "wake": "w1"}
    }
    assert message("t", NOTICE, 1700000000.0)["message"]["data"] == {
        "nightbell_type": "call",
        "nightbell_call": "k7f3",
        "nightbell_wake": "w1",
    }


def test_p6_the_caller_travels_only_when_the_notice_has_one_and_never_beyond_the_limit() -> None:
    with_caller = PushNotice("k7f3", "w1", 1700000020.0, caller="Alice " * 10_000)
    assert json.loads(request(TOKEN, with_caller).body)["nightbell"]["caller"].startswith("Alice ")
    assert len(request(TOKEN, with_caller).body) < MAX_BODY
    data = message("t", with_caller, 0.0)["message"]["data"]
    assert data["nightbell_caller"].startswith("Alice ")
    assert all(isinstance(value, str) for value in data.values())


@pytest.mark.parametrize(
    ("kind", "purpose", "push_type"),
    [(VOIP, purpose, b"voip" if purpose is Purpose.CALL else None) for purpose in Purpose]
    + [
        (ALERT, Purpose.CALL, None),
        (ALERT, Purpose.OVER, None),
        (ALERT, Purpose.MESSAGE, b"alert"),
        (ALERT, Purpose.VOICEMAIL, b"alert"),
        (ALERT, Purpose.REFRESH, b"background"),
        (ALERT, Purpose.REQUEST, b"background"),
    ],
)
def test_w5_p1_an_iphone_is_sent_a_voip_push_for_a_call_and_for_nothing_else(
    kind: str, purpose: Purpose, push_type: bytes | None
) -> None:
    how = style(kind, purpose)
    if push_type is None:
        assert how is None
        return
    assert how is not None
    token = TOKEN if kind == VOIP else ALERT_TOKEN
    made = request(token, replace(NOTICE, purpose=purpose))
    headers = headers_of(made)
    assert headers[b"apns-push-type"] == push_type
    assert headers[b"apns-priority"] == (b"5" if push_type == b"background" else b"10")
    assert headers[b"apns-topic"] == token.app.encode()
    assert headers[b"apns-expiration"] == b"1700000020"
    body = json.loads(made.body)
    assert body["nightbell"] == {"type": purpose.value, "call": "k7f3", "wake": "w1"}
    assert (
        set(body.get("aps", {}))
        == {
            b"voip": set(),
            b"alert": {"alert", "sound", "mutable-content"},
            b"background": {"content-available"},
        }[push_type]
    )


@pytest.mark.parametrize("app", ["org.example.phone", "org.example.phone.voip"])
def test_p1_the_topic_follows_from_the_kind_of_token(app: str) -> None:
    calls, alerts = replace(TOKEN, app=app), replace(ALERT_TOKEN, app=app)
    message = replace(NOTICE, purpose=Purpose.MESSAGE)
    assert headers_of(request(calls, NOTICE))[b"apns-topic"] == b"org.example.phone.voip"
    assert headers_of(request(alerts, message))[b"apns-topic"] == b"org.example.phone"


@pytest.mark.parametrize("purpose", list(Purpose))
def test_p3_fcm_is_told_what_a_message_is_for_and_wakes_a_saving_phone_for_what_somebody_waits_for(
    purpose: Purpose,
) -> None:
    sent = message("t", replace(NOTICE, purpose=purpose), 1700000000.0)["message"]
    assert sent["data"]["nightbell_type"] == purpose.value
    urgent = purpose in (Purpose.CALL, Purpose.REQUEST, Purpose.MESSAGE)
    assert sent["android"] == {"priority": "HIGH" if urgent else "NORMAL", "ttl": "20s"}
    assert "notification" not in sent


@pytest.mark.parametrize(("now", "ttl"), [(1700000000.0, "20s"), (1700000020.5, "0s"), (1800000000.0, "0s")])
def test_p3_fcm_drops_the_message_at_the_deadline(now: float, ttl: str) -> None:
    sent = message("t", NOTICE, now)["message"]
    assert sent["android"] == {"priority": "HIGH", "ttl": ttl}
    assert "notification" not in sent


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("-1", None),
        ("soon", None),
        ("²", None),
        (format_datetime(datetime.fromtimestamp(1030, UTC), usegmt=True), 30.0),
        (format_datetime(datetime.fromtimestamp(900, UTC), usegmt=True), 0.0),
    ],
)
def test_p4_retry_after_is_read_in_both_its_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after.seconds(value, now=1000.0) == seconds


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def test_p8_the_provider_token_is_shared_and_renewed_in_time() -> None:
    clock, key = Clock(), ec.generate_private_key(ec.SECP256R1())
    token = ProviderToken(key, "KEYID12345", "TEAMID1234", clock)
    first = token.get_header()
    clock.now += LIFETIME - 1
    assert token.get_header() == first
    clock.now += 1
    assert token.get_header() != first
    text = token.get_header().removeprefix("bearer ")
    claims = jwt.decode(text, key.public_key(), algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAMID1234", "iat": int(clock.now)}
    assert jwt.get_unverified_header(text)["kid"] == "KEYID12345"


def test_p8_a_token_called_expired_is_signed_anew_once_and_not_when_it_is_young() -> None:
    clock = Clock()
    token = ProviderToken(ec.generate_private_key(ec.SECP256R1()), "K", "T", clock)
    first = token.get_header()
    assert not token.replace(first)  # signed this second: our clock is wrong, another would not help
    clock.now += YOUNG
    assert token.replace(first)
    second = token.get_header()
    assert second != first
    assert token.replace(first)  # a push that was under way with the old one
    assert token.get_header() == second


def test_a_clock_set_back_does_not_leave_a_token_from_the_future() -> None:
    clock = Clock()
    token = ProviderToken(ec.generate_private_key(ec.SECP256R1()), "K", "T", clock)
    first = token.get_header()
    clock.now -= 7200
    assert token.get_header() != first


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"hello", "AuthKey_"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (pem(rsa.generate_private_key(65537, 2048)), "P-256"),
    ],
)
def test_an_unusable_apns_key_is_refused_with_its_file_and_the_remedy(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "key.p8"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PushCredentialsError, match=r"key\.p8") as refusal:
        read_key(path)
    assert says in str(refusal.value)


@pytest.mark.parametrize("content", [None, "", "{}", '{"type":"authorized_user"}', "[]"])
def test_an_unusable_service_account_is_refused_with_its_file(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "account.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PushCredentialsError, match=r"account\.json"):
        read_service_account(path)
