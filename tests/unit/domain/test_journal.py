"""The head of a call follows from its steps, however they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.domain.journal import AGENT_STEPS, CallHead, Step, fold
from control.domain.phrases import phrase
from kemi.wire import CALL_STEPS


def step(ms: float, name: str, code: int = 0, reason: str = "", **more: str) -> Step:
    return Step("k1", 1000.0 + ms / 1000, name, code=code, reason=reason, **more)


INVITE = step(0, "invite-in", direction="in", caller="1001", aor="sip:alice@nightbell.test")
ANSWERED = [
    INVITE,
    step(1, "push-sent"),
    step(400, "register"),
    step(2000, "answered", 200),
    step(9000, "bye"),
]
CANCELLED = [INVITE, step(1, "push-sent"), step(900, "cancelled", 487), step(901, "failed", 487)]
DEADLINE = [INVITE, step(20000, "wake-deadline"), step(20001, "failed", 480, "No device woke up in time")]
TWO_ANSWER = [
    INVITE,
    step(500, "answered", 200, device="alice-a"),
    step(501, "answered", 200, device="alice-b"),
]


@pytest.mark.parametrize(
    ("steps", "outcome", "code", "answered_at", "ended_at"),
    [
        (ANSWERED, "answered", 200, 1002.0, 1009.0),
        ([*ANSWERED[:-1], step(9000, "device-bye")], "answered", 200, 1002.0, 1009.0),
        (CANCELLED, "cancelled", 487, 0.0, 1000.9),
        (DEADLINE, "failed", 480, 0.0, 1020.001),
        (TWO_ANSWER, "answered", 200, 1000.5, 0.0),
        ([INVITE], "", 0, 0.0, 0.0),
    ],
)
@given(data=st.data())
def test_the_head_is_the_same_whatever_the_order_and_the_repetitions(
    data: st.DataObject, steps: list[Step], outcome: str, code: int, answered_at: float, ended_at: float
) -> None:
    told = data.draw(st.permutations(steps * 2))
    head = fold(CallHead("k1", 0.0), told)
    assert (head.outcome, head.code) == (outcome, code)
    assert head.answered_at == pytest.approx(answered_at)
    assert head.ended_at == pytest.approx(ended_at)
    assert (head.started_at, head.caller, head.direction) == (1000.0, "1001", "in")


@pytest.mark.parametrize("name", [*CALL_STEPS, *AGENT_STEPS])
@pytest.mark.parametrize("direction", ["in", "out"])
def test_every_step_there_is_has_words(name: str, direction: str) -> None:
    words = phrase(step(0, name), direction).words
    assert words != name
    assert words[0].isupper()


def test_a_step_of_a_newer_version_is_shown_by_its_name() -> None:
    assert phrase(step(0, "teleported", 299, "Gone"), "in").words == "teleported"
