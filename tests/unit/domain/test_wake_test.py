"""A test call says how far it came, and what to check."""

from __future__ import annotations

import pytest

from control.domain.journal import Step
from control.domain.wake_test import finding

NOW = 1_800_000_000.0


def steps(*named: str, **reasons: str) -> list[Step]:
    return [
        Step("c", NOW + n, name, "bob-1", "apns", reason=reasons.get(name.replace("-", "_"), ""))
        for n, name in enumerate(named)
    ]


@pytest.mark.parametrize(
    ("told", "ok", "words"),
    [
        (steps("push-sent", "push-accepted", "register", "ringing"), True, "rang 3000 ms after the push"),
        (steps("invite-in", "invite-out", "ringing"), True, "rang without a push"),
        (steps("invite-out", "ringing", "push-sent"), True, "rang without a push"),
        (steps("push-sent", "push-accepted", "register", "failed"), False, "registered, and did not ring"),
        (steps("push-sent", "push-accepted", "wake-deadline", "failed"), False, "apns accepted the push"),
        (
            steps("push-sent", "push-refused", "failed", push_refused="apns Unregistered"),
            False,
            "did not take the push: apns Unregistered",
        ),
        (steps("gave-up", "failed", gave_up="No push token"), False, "No push was sent: No push token"),
        (steps("push-withheld", push_withheld="more than 20"), False, "No push was sent: more than 20"),
        (steps("invite-in"), False, "No push was sent."),
    ],
)
def test_the_first_step_that_is_missing_is_the_one_that_failed(
    told: list[Step], ok: bool, words: str
) -> None:
    found = finding(told[::-1])
    assert found.ok is ok
    assert words in found.words
