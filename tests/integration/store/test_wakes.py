"""The wakes of devices, and how long calls wait as they teach."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from control.domain.push import PushToken
from control.domain.reach import ReachTerms
from control.domain.wakes import DeviceWake, WaitPolicy
from control.services import outbox, people, reach, registrations, tokens, wakes
from control.services.projection_rows import Rows
from control.services.registrations import Registered
from kemi.wire import LineDoc

DOMAIN = "nightbell.test"
POLICY = WaitPolicy()
NOW = 1_800_000_000.0
TERMS = ReachTerms(("apns",), 3, POLICY)


@pytest.fixture
def phone(session: Session) -> str:
    people.add_user(session, "alice")
    return people.add_device(session, "alice", "Phone", DOMAIN)[0].id


def wake(phone: str, number: int, seconds: float = 2.0) -> DeviceWake:
    at = NOW + 60 * number
    return DeviceWake(
        f"w{number}", phone, f"c{number}", at, at + 20, "apns", at + 0.1, at + seconds, outcome="woke"
    )


def wait_of_line(session: Session) -> float:
    lines = Rows(session, DOMAIN, {}, b"", POLICY).lines(["alice"])
    return LineDoc.decode(lines[f"sip:alice@{DOMAIN}"]).wait


def test_a_wake_is_one_row_however_often_it_is_told(session: Session, phone: str) -> None:
    done = wake(phone, 1)
    begun = replace(done, accepted_at=0.0, registered_at=0.0, outcome="", provider="")
    wakes.record(session, [begun], POLICY)
    wakes.record(session, [begun, replace(begun, accepted_at=NOW + 60.1), done], POLICY)
    assert wakes.of_devices(session, [phone]) == {phone: [done]}
    assert wakes.of_call(session, "c1") == [done]


def test_what_is_no_call_is_remembered_while_it_is_under_way_and_teaches_nothing(
    session: Session, phone: str
) -> None:
    held = replace(wake(phone, 1), purpose="message", registered_at=0.0, outcome="")
    wakes.record(session, [held], POLICY)
    assert wakes.under_way(session, held.deadline - 1) == [held]
    done = replace(held, registered_at=held.deadline - 1, outcome="woke")
    wakes.record(session, [done], POLICY)
    assert wakes.under_way(session, held.deadline - 1) == []
    assert not done.teaches
    assert wakes.of_devices(session, [phone]) == {}


def test_the_last_wakes_of_each_device_come_the_newest_first(session: Session, phone: str) -> None:
    wakes.record(session, [wake(phone, n) for n in (1, 3, 2)] + [wake("other", 9)], POLICY)
    found = wakes.of_devices(session, [phone, "other", "nobody"], limit=2)
    assert {device: [w.wake for w in list_] for device, list_ in found.items()} == {
        phone: ["w3", "w2"],
        "other": ["w9"],
    }


def test_w9_the_line_waits_as_its_phone_has_taught_and_is_projected_anew_only_then(
    session: Session, phone: str
) -> None:
    assert wait_of_line(session) == 20
    wakes.record(session, [wake(phone, n, 8.0) for n in range(4)], POLICY)
    head = outbox.latest(session)
    wakes.record(session, [wake(phone, 4, 8.0)], POLICY)
    assert [(c.kind, c.key) for c in outbox.since(session, head)] == [("line", "alice")]
    assert wait_of_line(session) == 17
    head = outbox.latest(session)
    wakes.record(session, [wake(phone, 5, 8.0)], POLICY)
    assert outbox.since(session, head) == []


def test_w9_a_call_that_was_given_up_before_the_phone_came_teaches_nothing(
    session: Session, phone: str
) -> None:
    wakes.record(session, [wake(phone, n) for n in range(5)], POLICY)
    assert wait_of_line(session) == POLICY.least
    for number in range(5, 40):  # they leave none of those that taught among the last
        given_up = replace(wake(phone, number), registered_at=0.0, outcome="called-off")
        wakes.record(session, [given_up], POLICY)
    assert wait_of_line(session) == POLICY.least
    wakes.record(session, [replace(given_up, wake="w99", pushed_at=NOW + 9999, outcome="slept")], POLICY)
    assert wait_of_line(session) == POLICY.usual


def test_w8_the_connection_is_never_kept_waiting_longer_than_it_allows(session: Session, phone: str) -> None:
    wakes.record(session, [wake(phone, n, 30.0) for n in range(6)], POLICY)
    assert wait_of_line(session) == 20  # as no connection says more
    people.get_device(session, phone).wait = 12.0
    assert wait_of_line(session) == 12


def test_of_several_devices_the_slowest_is_waited_for(session: Session, phone: str) -> None:
    people.add_device(session, "alice", "Tablet", DOMAIN)
    wakes.record(session, [wake(phone, n, 1.0) for n in range(6)], POLICY)
    assert wait_of_line(session) == 20


def test_what_is_still_under_way_is_found_by_an_agent_that_starts(session: Session, phone: str) -> None:
    open_ = replace(wake(phone, 1), outcome="", registered_at=0.0)
    wakes.record(session, [open_, wake(phone, 2)], POLICY)
    assert wakes.under_way(session, NOW + 61) == [open_]
    assert wakes.under_way(session, NOW + 81) == []


def test_old_wakes_are_forgotten(session: Session, phone: str) -> None:
    wakes.record(session, [wake(phone, 1), wake(phone, 2)], POLICY)
    assert wakes.prune(session, NOW + 100) == 1
    assert [w.wake for w in wakes.of_devices(session, [phone])[phone]] == ["w2"]


def test_a_wake_of_a_device_that_was_removed_is_kept_and_harms_nothing(session: Session) -> None:
    wakes.record(session, [wake("gone-1", n) for n in range(6)], POLICY)
    assert len(wakes.of_devices(session, ["gone-1"])["gone-1"]) == 6


def test_u1_how_a_device_stands_comes_of_its_binding_its_tokens_and_its_wakes(
    session: Session, phone: str
) -> None:
    def state(now: float = NOW) -> str:
        return reach.of(session, [people.get_device(session, phone)], TERMS, now)[0].reach.words

    assert state() == "Unreachable: it is not connected, and has given no push token"
    tokens.store_tokens(session, phone, [PushToken("apns", "t.voip", "production", "aa")], NOW)
    registrations.record(session, [Registered(NOW, phone, "added", 200, expires=600)])
    assert state(NOW + 599) == "Connected"
    assert state(NOW + 601) == "Asleep, can be woken"
    registrations.record(session, [Registered(NOW + 5, phone, "refused", 401)])
    assert state(NOW + 10) == "Connected"
    registrations.record(session, [Registered(NOW + 20, phone, "removed", 200)])
    assert state(NOW + 30) == "Asleep, can be woken"
    registrations.record(session, [Registered(NOW + 40, phone, "added", 200, expires=600)])
    assert state(NOW + 45) == "Connected"
    registrations.record(session, [Registered(NOW + 50, phone, "lost", 0)])
    assert state(NOW + 60) == "Asleep, can be woken"
    slept = [replace(wake(phone, n), registered_at=0.0, outcome="slept") for n in (1, 2, 3)]
    wakes.record(session, slept, POLICY)
    assert state(NOW + 300).startswith("Unreachable: its last 3 pushes were accepted")
