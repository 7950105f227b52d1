"""RFC 8599 parameters as they are seen in the wild, and what is answered to those that cannot be used."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import contact
from kemi.pn_params import CANNOT_RING, Offer, Push, Refusal, feature_caps, read
from kemi.wire import Token

OFFER = Offer(("apns", "apns.dev", "fcm", "webpush", "acme"), "BVapid")
FCM_TOKEN = "dQw4w9WgXcQ_x-1:APA91bF-_" + "a" * 130
PARAM = "ABCDE12345.org.example.phone"
SUBSCRIPTION = {"endpoint": "https://push.example/x", "keys": {"p256dh": "BKey", "auth": "aaaa"}}


def modern(provider: str, param: str, prid: str) -> Push:
    return read({"pn-provider": provider, "pn-param": param, "pn-prid": prid}, OFFER)


def calls(token: str, environment: str = "production") -> Token:
    return Token("apns", "org.example.phone.voip", environment, "voip", token)


def alerts(token: str, environment: str = "production") -> Token:
    return Token("apns", "org.example.phone", environment, "alert", token)


@pytest.mark.parametrize(
    ("param", "prid", "tokens"),
    [
        (f"{PARAM}.voip", "00FF", [calls("00FF")]),
        (f"{PARAM}.voip", "00FF:voip", [calls("00FF")]),
        (f"{PARAM}.voip", "AA:remote&BB:voip", [calls("BB")]),
        (f"{PARAM}.voip&remote", "AA:remote&BB:voip", [calls("BB"), alerts("AA")]),
        (f"{PARAM}.remote&voip", "BB:voip&AA:remote", [calls("BB"), alerts("AA")]),
        (f"{PARAM}.voip&remote", "BB:voip", [calls("BB")]),
        (f"{PARAM}.voip", "ab" * 100, [calls("ab" * 100)]),  # of any length
        (PARAM, "00ff", [alerts("00ff")]),
        (f"{PARAM}.remote", "00ff", [alerts("00ff")]),
        (f"{PARAM}.remote", "00ff:remote", [alerts("00ff")]),
    ],
)
def test_p7_apns_spellings_give_each_token_its_topic(param: str, prid: str, tokens: list[Token]) -> None:
    push = modern("apns", param, prid)
    assert list(push.tokens) == tokens
    assert push.note == ("" if tokens[0].kind == "voip" else CANNOT_RING)


def test_p2_the_environment_is_kept_with_the_token() -> None:
    assert modern("apns.dev", f"{PARAM}.voip", "00ff").tokens == (calls("00ff", "sandbox"),)


def test_an_fcm_token_is_kept_as_it_is() -> None:
    push = modern("fcm", "123456789012", FCM_TOKEN)
    assert push.tokens == (Token("fcm", "123456789012", "production", "voip", FCM_TOKEN),)


def test_names_are_read_in_any_case() -> None:
    assert modern("APNs", f"{PARAM}.voip", "00ff").provider == "apns"


@pytest.mark.parametrize("param", ["", "BVapid"])
def test_a_browsers_subscription_is_kept_compact_and_without_what_is_not_needed(param: str) -> None:
    brought = SUBSCRIPTION | {"expirationTime": None}
    (token,) = modern("webpush", param, json.dumps(brought, indent=2)).tokens
    assert (token.provider, token.app) == ("webpush", "BVapid")
    assert token.token == json.dumps(SUBSCRIPTION, separators=(",", ":"))


def test_a_pusher_of_the_operators_own_gets_the_token_unread() -> None:
    assert modern("acme", "", "any/thing=1").tokens == (
        Token("acme", "", "production", "voip", "any/thing=1"),
    )


@pytest.mark.parametrize(
    ("parameters", "token"),
    [
        ({"pn-type": "apple", "app-id": "org.example.phone.voip.prod", "pn-tok": "00ff"}, calls("00ff")),
        (
            {"pn-type": "apple", "app-id": "org.example.phone.voip.dev", "pn-tok": "00ff"},
            calls("00ff", "sandbox"),
        ),
        ({"pn-type": "apple", "app-id": "org.example.phone.prod", "pn-tok": "00ff"}, alerts("00ff")),
        (
            {"pn-type": "firebase", "app-id": "12", "pn-tok": "t:1"},
            Token("fcm", "12", "production", "voip", "t:1"),
        ),
        (
            {"pn-type": "google", "app-id": "12", "pn-tok": "t:1"},
            Token("fcm", "12", "production", "voip", "t:1"),
        ),
    ],
)
def test_what_apps_sent_before_the_standard_is_understood(parameters: dict[str, str], token: Token) -> None:
    assert read(parameters, OFFER).tokens == (token,)


def test_a_contact_without_parameters_says_nothing() -> None:
    assert read({"transport": "tls"}, OFFER) == Push()


@pytest.mark.parametrize(
    ("provider", "explanation"),
    [
        ("firebase", "send fcm"),
        ("android", "send fcm"),
        ("apple", "send apns"),
        ("hms", "hms is not supported; send apns, apns.dev, fcm, webpush or acme"),
        ('x"\\\r\n', "pn-provider x???? is not supported"),
        ("é" * 5000, "is not supported"),
    ],
)
def test_p9_a_provider_that_is_not_supported_is_answered_555_and_explained(
    provider: str, explanation: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        modern(provider, "1", FCM_TOKEN)
    assert (refusal.value.code, refusal.value.phrase) == (555, "Push Notification Service Not Supported")
    assert explanation in refusal.value.explanation
    assert len(refusal.value.explanation) < 200


def test_p9_a_better_name_is_only_offered_where_it_would_help() -> None:
    with pytest.raises(Refusal, match=r"send apns or apns\.dev$") as refusal:
        read({"pn-provider": "firebase", "pn-prid": "x"}, Offer(("apns", "apns.dev")))
    assert refusal.value.code == 555


def test_p9_without_any_provider_it_is_said_so() -> None:
    with pytest.raises(Refusal, match="no push provider set up"):
        read({"pn-provider": "fcm", "pn-param": "1", "pn-prid": "x"}, Offer())


@pytest.mark.parametrize(
    ("parameters", "phrase", "hint"),
    [
        ({"pn-prid": "x"}, "Bad pn-provider", "missing; send apns"),
        ({"pn-provider": "", "pn-prid": "x"}, "555", ""),
        (
            {"pn-provider": "apns", "pn-param": "org.example.phone.voip", "pn-prid": "00"},
            "Bad pn-param",
            "TEAMID",
        ),
        ({"pn-provider": "apns", "pn-param": "ABCDE12345.voip", "pn-prid": "00"}, "Bad pn-param", "TEAMID"),
        ({"pn-provider": "apns", "pn-param": f"{PARAM}.voip", "pn-prid": ""}, "Bad pn-prid", "hexadecimal"),
        (
            {"pn-provider": "apns", "pn-param": f"{PARAM}.voip", "pn-prid": "../x"},
            "Bad pn-prid",
            "hexadecimal",
        ),
        (
            {"pn-provider": "apns", "pn-param": f"{PARAM}.voip", "pn-prid": "00\r\nX: 1"},
            "Bad pn-prid",
            "hexa",
        ),
        (
            {"pn-provider": "apns", "pn-param": f"{PARAM}.voip&remote", "pn-prid": "00"},
            "Bad pn-prid",
            "TOKEN:voip",
        ),
        (
            {"pn-provider": "apns", "pn-param": f"{PARAM}.voip", "pn-prid": "00:remote"},
            "Bad pn-prid",
            "TOKEN:voip",
        ),
        ({"pn-provider": "apns", "pn-param": f"{PARAM}.voip", "pn-prid": "a" * 5000}, "Bad pn-prid", "hexa"),
        ({"pn-provider": "fcm", "pn-param": "", "pn-prid": FCM_TOKEN}, "Bad pn-param", "Firebase project"),
        ({"pn-provider": "fcm", "pn-param": "12", "pn-prid": ""}, "Bad pn-prid", "registration token"),
        ({"pn-provider": "fcm", "pn-param": "12", "pn-prid": "to ken"}, "Bad pn-prid", "registration token"),
        ({"pn-provider": "fcm", "pn-param": "12", "pn-prid": "t\n"}, "Bad pn-prid", "registration token"),
        ({"pn-provider": "fcm", "pn-param": "12", "pn-prid": "t" * 5000}, "Bad pn-prid", "4,096"),
        ({"pn-provider": "webpush", "pn-prid": "https://push.example/x"}, "Bad pn-prid", "PushSubscription"),
        ({"pn-provider": "webpush", "pn-prid": "[" * 5000}, "Bad pn-prid", "PushSubscription"),
        ({"pn-provider": "webpush", "pn-param": "BOther", "pn-prid": "{}"}, "Bad pn-param", "VAPID"),
        ({"pn-provider": "acme", "pn-prid": "a b"}, "Bad pn-prid", "no spaces"),
        ({"pn-type": "apple", "app-id": "org.example.phone", "pn-tok": "00"}, "Bad app-id", ".prod or .dev"),
    ],
)
def test_p9_what_cannot_be_used_is_explained(parameters: dict[str, str], phrase: str, hint: str) -> None:
    with pytest.raises(Refusal) as refusal:
        read(parameters, OFFER)
    if phrase == "555":
        assert refusal.value.code == 555
        return
    assert (refusal.value.code, refusal.value.phrase) == (400, phrase)
    assert hint in refusal.value.explanation


def test_p7_a_refusal_does_not_show_the_token() -> None:
    with pytest.raises(Refusal) as refusal:
        modern("apns", f"{PARAM}.voip&remote", "c0ffee00")
    assert "c0ffee00" not in f"{refusal.value!r} {refusal.value.explanation}"


# -------------------------------------------------------------------------------------------- what is answered


def test_the_provider_in_use_is_confirmed() -> None:
    assert feature_caps(modern("apns.dev", f"{PARAM}.voip", "00"), OFFER) == ['*;+sip.pns="apns.dev"']
    assert feature_caps(Push(), OFFER) == []


@pytest.mark.parametrize("value", [{"pn-provider": ""}, {"pn-provider": "", "pn-param": "", "pn-prid": ""}])
def test_a_query_is_told_all_there_is(value: dict[str, str]) -> None:
    push = read(value, Offer(("fcm", "webpush"), "BVapid"))
    assert push == Push(query=True)
    assert feature_caps(push, Offer(("fcm", "webpush"), "BVapid")) == [
        '*;+sip.pns="fcm"',
        '*;+sip.pns="webpush";+sip.vapid="BVapid"',
    ]
    assert feature_caps(push, Offer()) == []


@pytest.mark.parametrize("param", [{}, {"pn-param": "12"}])
def test_a_query_for_one_provider_is_told_of_that_one_alone_and_brings_no_token(
    param: dict[str, str],
) -> None:
    push = read({"pn-provider": "FCM", **param}, OFFER)
    assert (push.provider, push.query, push.tokens) == ("fcm", True, ())
    assert push.note == "it asks for pushes by fcm and brings no pn-prid"
    assert feature_caps(push, OFFER) == ['*;+sip.pns="fcm"']
    with pytest.raises(Refusal) as refusal:
        read({"pn-provider": "hms", **param}, OFFER)
    assert refusal.value.code == 555


def test_a_browser_is_told_the_key_and_a_refreshing_device_when_to_refresh() -> None:
    push = modern("webpush", "", json.dumps(SUBSCRIPTION))
    assert feature_caps(push, OFFER, 121) == ['*;+sip.pns="webpush";+sip.vapid="BVapid";+sip.pnsreg="121"']


@pytest.mark.parametrize(
    ("header", "token"),
    [
        # RFC 8599, 1 (figure 2) and 10: the values of its examples.
        (
            "<sip:alice@alicemobile.example.com;pn-provider=acme;pn-param=acme-param;pn-prid=ZTY4ZDJlMzODE1NmUgKi0K>",
            Token("acme", "acme-param", "production", "voip", "ZTY4ZDJlMzODE1NmUgKi0K"),
        ),
        (
            "<sip:a@192.0.2.1;pn-provider=apns;pn-param=DEF123GHIJ.com.example.yourexampleapp.voip;pn-prid=00fc13adff78512>",
            Token("apns", "com.example.yourexampleapp.voip", "production", "voip", "00fc13adff78512"),
        ),
    ],
)
def test_the_contacts_of_the_standard_are_understood(header: str, token: Token) -> None:
    assert read(contact.parse(header).parameters, OFFER).tokens == (token,)


@given(
    st.sampled_from(["apns", "apns.dev", "fcm", "webpush", "acme", "", "x"]),
    st.text() | st.from_regex(r"[A-Z]{0,10}\.[a-z.&]*(voip|remote)?"),
    st.text() | st.from_regex(r"[0-9a-f]*(:voip)?(&[0-9a-f]*:remote)?") | st.text().map(json.dumps),
)
def test_whatever_is_sent_is_read_or_refused(provider: str, param: str, prid: str) -> None:
    explanation = ""
    tokens: tuple[Token, ...] = ()
    try:
        tokens = modern(provider, param, prid).tokens
    except Refusal as refusal:
        explanation = refusal.explanation
    assert explanation.isascii()
    assert explanation.isprintable()
    assert '"' not in explanation
    for token in tokens:
        assert token.token.isprintable()
        assert not set(token.token + token.app) & set("\r\n\0")
