"""RFC 8599 parameters as they are seen in the wild."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.domain.push import APNS, FCM, PushToken
from control.push.errors import PnParamsError
from control.push.pn_params import parse

FCM_TOKEN = "dQw4w9WgXcQ_x-1:APA91bF-_" + "a" * 130
PARAM = "ABCDE12345.org.example.phone"


@pytest.mark.parametrize(
    ("param", "prid", "token"),
    [
        (f"{PARAM}.voip", "00FF", "00FF"),
        (f"{PARAM}.voip", "00FF:voip", "00FF"),
        (f"{PARAM}.voip&remote", "AA:remote&BB:voip", "BB"),
        (f"{PARAM}.remote&voip", "BB:voip&AA:remote", "BB"),
        (f"{PARAM}.voip", "ab" * 100, "ab" * 100),  # of any length
    ],
)
def test_p7_apns_spellings_give_the_voip_token_and_its_topic(param: str, prid: str, token: str) -> None:
    expected = PushToken(APNS, "org.example.phone.voip", "production", token)
    assert parse("apns", param, prid) == [expected]


def test_p2_the_environment_is_kept_with_the_token() -> None:
    assert parse("apns.dev", f"{PARAM}.voip", "00ff")[0].environment == "sandbox"


def test_an_fcm_token_is_kept_as_it_is() -> None:
    assert parse("fcm", "123456789012", FCM_TOKEN) == [
        PushToken(FCM, "123456789012", "production", FCM_TOKEN)
    ]


def test_a_contact_without_parameters_has_no_tokens() -> None:
    assert parse("", "", "") == []


@pytest.mark.parametrize(
    ("provider", "param", "prid", "names", "hint"),
    [
        ("firebase", "1", FCM_TOKEN, "pn-provider", "send fcm"),
        ("android", "1", FCM_TOKEN, "pn-provider", "send fcm"),
        ("webpush", "1", "x", "pn-provider", "not supported"),
        ("", "1", "x", "pn-provider", "missing"),
        ("apns", PARAM, "00ff", "pn-param", "only a .voip topic"),
        ("apns", f"{PARAM}.remote", "00ff", "pn-param", "only a .voip topic"),
        ("apns", "org.example.phone.voip", "00ff", "pn-param", "TEAMID"),
        ("apns", "ABCDE12345.voip", "00ff", "pn-param", "TEAMID"),
        ("apns", f"{PARAM}.voip", "", "pn-prid", "hexadecimal"),
        ("apns", f"{PARAM}.voip", "../../x", "pn-prid", "hexadecimal"),
        ("apns", f"{PARAM}.voip&remote", "00ff", "pn-prid", "TOKEN:voip"),
        ("apns", f"{PARAM}.voip", "00ff:remote", "pn-prid", "TOKEN:voip"),
        ("fcm", "", FCM_TOKEN, "pn-param", "project number"),
        ("fcm", "12", "", "pn-prid", "registration token"),
        ("fcm", "12", "to ken", "pn-prid", "registration token"),
    ],
)
def test_p9_what_cannot_be_served_is_explained(
    provider: str, param: str, prid: str, names: str, hint: str
) -> None:
    with pytest.raises(PnParamsError) as refusal:
        parse(provider, param, prid)
    assert refusal.value.parameter == names
    assert hint in refusal.value.explanation
    assert refusal.value.status == 555


def test_p7_a_refusal_does_not_show_the_token() -> None:
    with pytest.raises(PnParamsError) as refusal:
        parse("apns", f"{PARAM}.voip&remote", "c0ffee00")
    assert "c0ffee00" not in str(refusal.value)


def test_p7_a_token_is_in_no_repr() -> None:
    token = parse("apns", f"{PARAM}.voip", "c0ffee00")[0]
    assert "c0ffee00" not in f"{token} {token!r} {[token]}"
    assert len(token.fingerprint) == 8


@given(
    st.sampled_from(["apns", "apns.dev", "fcm", "", "x"]),
    st.text() | st.from_regex(r"[A-Z]{0,10}\.[a-z.&]*(voip|remote)?"),
    st.text() | st.from_regex(r"[0-9a-f]*(:voip)?(&[0-9a-f]*:remote)?"),
)
def test_whatever_is_sent_is_parsed_or_refused(provider: str, param: str, prid: str) -> None:
    try:
        tokens = parse(provider, param, prid)
    except PnParamsError:
        return
    for token in tokens:
        assert token.token
        assert not set(token.token + token.app) & set(" \r\n\0/?#")
