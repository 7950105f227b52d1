"""Which push tokens serve what, and what a device's bringing others does to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.domain.push import ALERT, APNS, FCM, SANDBOX, VOIP, WEBPUSH, Purpose, PushToken
from control.domain.push_tokens import QUARANTINE_S, after_bringing, serving

NOW = 1_800_000_000.0
CALLS = PushToken(APNS, "org.example.phone.voip", "production", "aa11", VOIP, NOW)
ALERTS = PushToken(APNS, "org.example.phone", "production", "bb22", ALERT, NOW)
ANDROID = PushToken(FCM, "12345", "production", "cc33", VOIP, NOW)
BROWSER = PushToken(WEBPUSH, "key", "production", "{}", VOIP, NOW)
OTHER_PURPOSES = [Purpose.MESSAGE, Purpose.VOICEMAIL, Purpose.REFRESH, Purpose.REQUEST]


def test_p1_a_call_is_pushed_to_the_voip_token_of_an_iphone_alone() -> None:
    assert serving([CALLS, ALERTS], Purpose.CALL) == (CALLS,)
    assert serving([ALERTS], Purpose.CALL) == ()


@pytest.mark.parametrize("purpose", OTHER_PURPOSES)
def test_w5_nothing_but_a_call_is_ever_pushed_to_a_voip_token_of_an_iphone(purpose: Purpose) -> None:
    assert serving([CALLS, ALERTS], purpose) == (ALERTS,)
    assert serving([CALLS], purpose) == ()


def test_w5_the_end_of_a_call_is_never_pushed_to_an_iphone() -> None:
    assert serving([CALLS, ALERTS, ANDROID, BROWSER], Purpose.OVER) == (ANDROID, BROWSER)


@pytest.mark.parametrize("token", [ANDROID, BROWSER])
@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_one_token_of_other_providers_serves_everything(token: PushToken, purpose: Purpose) -> None:
    assert serving([token], purpose) == (token,)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_p2_a_quarantined_token_serves_nothing(purpose: Purpose) -> None:
    assert serving([replace(t, quarantined_at=NOW) for t in (CALLS, ALERTS, ANDROID)], purpose) == ()


def test_p7_what_is_brought_replaces_what_was_there() -> None:
    new = replace(CALLS, token="dd44")
    assert after_bringing([CALLS], [new], NOW + 1) == (new,)
    assert after_bringing([CALLS, ALERTS], [ANDROID], NOW + 1) == (ANDROID,)  # it is another phone now


def test_a_register_with_the_token_for_calls_keeps_the_one_for_messages() -> None:
    assert after_bringing([CALLS, ALERTS], [CALLS], NOW + 1) == (ALERTS, CALLS)
    assert after_bringing([CALLS, ALERTS], [CALLS], NOW + 1, all_of_them=True) == (CALLS,)


def test_the_time_is_that_of_the_last_bringing_even_when_the_news_are_old() -> None:
    assert after_bringing([CALLS], [CALLS], NOW + 60)[0].stored_at == NOW + 60
    assert after_bringing([CALLS], [CALLS], NOW - 60)[0].stored_at == NOW


def test_p2_a_corrected_environment_stays_until_the_token_is_another() -> None:
    corrected = replace(CALLS, environment=SANDBOX, corrected=True)
    assert after_bringing([corrected], [CALLS], NOW)[0].environment == SANDBOX
    assert after_bringing([corrected], [replace(CALLS, token="dd44")], NOW)[0].environment == "production"


def test_p2_an_environment_that_the_app_mends_itself_is_taken_over() -> None:
    assert after_bringing([CALLS], [replace(CALLS, environment=SANDBOX)], NOW)[0].environment == SANDBOX


def test_p2_quarantine_ends_with_another_token_or_after_a_day() -> None:
    bad = replace(CALLS, quarantined_at=NOW)
    assert after_bringing([bad], [CALLS], NOW + QUARANTINE_S)[0].quarantined_at == NOW
    assert after_bringing([bad], [CALLS], NOW + QUARANTINE_S + 1)[0].quarantined_at is None
    assert after_bringing([bad], [replace(CALLS, token="dd44")], NOW)[0].quarantined_at is None
