"""U1: how a device stands, in words, with cause and next step."""

from __future__ import annotations

import pytest

from control.domain.push import ALERT, VOIP, PushToken
from control.domain.reach import CAUSES, Reach, Reachability, reachability
from control.domain.wakes import CALLED_OFF, REFUSED, SLEPT, WOKE, DeviceWake

NOW = 1_800_000_000.0
TOKEN = PushToken("apns", "org.example.phone.voip", "production", "aa11", VOIP, NOW)


def wakes(*outcomes: str, reason: str = "", provider: str = "apns") -> list[DeviceWake]:
    """The newest first, all after the token was brought."""
    count = len(outcomes)
    return [
        DeviceWake(
            f"w{n}",
            "bob-1",
            "c",
            NOW + 100 - n if count else NOW,
            NOW + 120,
            provider,
            outcome=o,
            reason=reason,
        )
        for n, o in enumerate(outcomes)
    ]


def stands(
    *newest_first: DeviceWake, connected: bool = False, tokens: tuple[PushToken, ...] = (TOKEN,)
) -> Reachability:
    return reachability(
        connected=connected, tokens=tokens, providers=("apns",), newest_first=newest_first, patience=3
    )


def test_u1_a_device_with_a_binding_is_connected_whatever_else_is_wrong() -> None:
    assert stands(*wakes(SLEPT, SLEPT, SLEPT), connected=True, tokens=()).words == "Connected"


def test_u1_a_device_with_a_token_is_asleep_and_can_be_woken() -> None:
    assert stands().words == "Asleep, can be woken"


def test_u1_without_a_token_it_is_unreachable() -> None:
    found = stands(tokens=())
    assert (found.state, found.cause) == (Reach.UNREACHABLE, "no-token")
    assert "has given no push token" in found.words
    assert "Open the app" in found.advice


def test_u1_a_token_for_messages_alone_wakes_nobody_for_a_call() -> None:
    assert (
        stands(tokens=(PushToken("apns", "org.example", "production", "bb", ALERT, NOW),)).cause == "no-token"
    )


def test_u1_a_dead_token_is_named_as_such() -> None:
    found = stands(*wakes(REFUSED, reason="Push token is dead"), tokens=())
    assert found.cause == "token-dead"
    assert found.words == "Unreachable: apns says that its push token is dead"


def test_u1_a_quarantined_token_is_no_token_to_wake_by() -> None:
    quarantined = PushToken("apns", "t", "production", "aa", VOIP, NOW, NOW + 5)
    assert stands(tokens=(quarantined,)).cause == "quarantined"


def test_u1_a_provider_that_is_not_set_up_is_named() -> None:
    found = stands(tokens=(PushToken("fcm", "123", "production", "aa", VOIP, NOW),))
    assert found.words == "Unreachable: its push token is for fcm, which is not set up here"


def test_u1_three_pushes_accepted_and_never_an_answer() -> None:
    found = stands(*wakes(SLEPT, SLEPT, SLEPT, SLEPT, WOKE))
    assert found.words == "Unreachable: its last 4 pushes were accepted, and it came to none of them"


def test_u1_calls_that_were_called_off_neither_count_nor_excuse() -> None:
    assert stands(*wakes(CALLED_OFF, SLEPT, "", SLEPT, CALLED_OFF, SLEPT)).cause == "never-came"
    assert stands(*wakes(SLEPT, WOKE, SLEPT, SLEPT)).state is Reach.ASLEEP


def test_u1_a_device_that_has_brought_its_token_again_since_is_wakeable_again() -> None:
    again = PushToken("apns", "t", "production", "aa", VOIP, NOW + 1000)
    assert stands(*wakes(SLEPT, SLEPT, SLEPT), tokens=(again,)).state is Reach.ASLEEP


def test_u1_pushes_that_no_provider_takes_are_told_with_the_reason() -> None:
    found = stands(*wakes(REFUSED, REFUSED, REFUSED, reason="Push provider is misconfigured"))
    assert found.words == "Unreachable: its last pushes were not taken: Push provider is misconfigured"


@pytest.mark.parametrize("cause", CAUSES)
def test_u1_each_cause_has_words_and_a_next_step(cause: str) -> None:
    found = Reachability(Reach.UNREACHABLE, cause, "x")
    assert found.words.startswith("Unreachable: ")
    assert found.advice
