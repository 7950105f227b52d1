"""A test call says how far it came, and what to check."""

from __future__ import annotations

import pytest

from control.domain.journal import CallHead, Step, fold
from control.domain.story import tell
from control.domain.wake_test import JOURNAL_S, LONGEST_S, TAKEN_WITHIN_S, State, finding, judged

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


WOKEN = ("push-sent", "push-accepted", "register", "ringing")


@pytest.mark.parametrize(
    ("after", "taken", "ended", "told", "state", "words"),
    [
        (0.1, 0.0, 0.0, (), State.WAITING, ""),
        (TAKEN_WITHIN_S + 1, 0.0, 0.0, (), State.OVER, "The edge agent did not take the test in hand"),
        (9.0, 0.1, 0.0, WOKEN, State.RUNNING, ""),
        (9.0, 0.1, 8.0, WOKEN, State.RUNNING, ""),  # its end is not in the journal yet
        (9.0, 0.1, 8.0, (*WOKEN, "cancelled"), State.OVER, "It was woken, and rang 3000 ms after the push"),
        (8.0 + JOURNAL_S + 1, 0.1, 8.0, WOKEN, State.OVER, "It was woken"),
        (8.0 + JOURNAL_S + 1, 0.1, 8.0, (), State.OVER, "Nightbell did not take the test call"),
        (LONGEST_S + JOURNAL_S + 1, 0.1, 0.0, WOKEN[:2], State.OVER, "apns accepted the push"),
    ],
)
def test_a_test_is_over_when_its_call_is_or_nobody_can_be_waited_for(
    after: float, taken: float, ended: float, told: tuple[str, ...], state: State, words: str
) -> None:
    told_of = steps(*told)
    test = judged(
        test="t1",
        device="bob-1",
        wanted_at=NOW,
        taken_at=taken and NOW + taken,
        ended_at=ended and NOW + ended,
        story=tell(fold(CallHead("c", NOW), told_of), told_of) if told else None,
        now=NOW + after,
    )
    assert test.state is state
    assert (test.finding.words if test.finding else "").startswith(words)
    assert bool(test.finding) == (state is State.OVER)
    assert test.push_to_register_ms == (2000.0 if "register" in told else None)
