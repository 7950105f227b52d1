"""Test calls in the database: wanted once, taken in hand once, and too late by nobody."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from control.domain.errors import NotFoundError, NotPossibleError
from control.domain.push import PushToken
from control.domain.reach import ReachTerms
from control.domain.wake_test import TAKEN_WITHIN_S, State
from control.domain.wakes import DeviceWake, WaitPolicy
from control.services import outbox, people, tokens, wake_tests, wakes

NOW = 1_800_000_000.0
TERMS = ReachTerms(("apns",), 3, WaitPolicy())
TOKEN = PushToken("apns", "org.example.voip", "production", "aa11")


@pytest.fixture
def phone(session: Session) -> str:
    people.add_user(session, "alice")
    device = people.add_device(session, "alice", "Phone", "nightbell.test")[0].id
    tokens.store_tokens(session, device, [TOKEN], NOW - 60)
    return device


def test_what_is_wanted_is_taken_in_hand_once(session: Session, phone: str) -> None:
    head = outbox.latest(session)
    test = wake_tests.want(session, phone, TERMS, NOW)
    assert [(change.kind, change.key) for change in outbox.since(session, head)] == [("wake", phone)]
    assert wake_tests.want(session, phone, TERMS, NOW + 1).id == test.id
    assert [(w.id, w.device) for w in wake_tests.take(session, NOW + 1)] == [(test.id, phone)]
    assert wake_tests.take(session, NOW + 1) == []
    assert wake_tests.get(session, phone, test.id, NOW + 2).state is State.RUNNING
    wake_tests.over(session, test.id, NOW + 3)
    assert wake_tests.get(session, phone, test.id, NOW + 30).state is State.OVER
    assert wake_tests.want(session, phone, TERMS, NOW + 30).id != test.id


def test_an_agent_that_comes_too_late_does_not_call(session: Session, phone: str) -> None:
    test = wake_tests.want(session, phone, TERMS, NOW)
    late = NOW + TAKEN_WITHIN_S + 0.1
    assert wake_tests.take(session, late) == []
    told = wake_tests.get(session, phone, test.id, late)
    assert told.finding is not None
    assert "The edge agent did not take the test in hand" in told.finding.words


def test_what_can_be_tried_is_tried_and_what_cannot_be_is_refused(session: Session, phone: str) -> None:
    slept = [
        DeviceWake(f"w{n}", phone, "c", NOW - 9 + n, NOW, "apns", NOW - 9 + n, 0.0, "slept") for n in range(3)
    ]
    wakes.record(session, slept, WaitPolicy())
    assert (
        wake_tests.want(session, phone, TERMS, NOW).state is State.WAITING
    )  # it never came: that is to be found out
    tokens.drop_token(session, phone, TOKEN)
    later = NOW + 60
    with pytest.raises(NotPossibleError, match="has given no push token"):
        wake_tests.want(session, phone, TERMS, later)
    with pytest.raises(NotFoundError):
        wake_tests.want(session, "nobody", TERMS, later)


def test_old_tests_are_forgotten_and_those_of_a_device_go_with_it(session: Session, phone: str) -> None:
    old = wake_tests.want(session, phone, TERMS, NOW)
    new = wake_tests.want(session, phone, TERMS, NOW + 60)
    assert wake_tests.prune(session, NOW + 1) == 1
    with pytest.raises(NotFoundError):
        wake_tests.get(session, phone, old.id, NOW + 60)
    assert wake_tests.get(session, phone, new.id, NOW + 60).id == new.id
    people.remove_device(session, phone)
    assert wake_tests.latest(session, phone, NOW + 60) is None
