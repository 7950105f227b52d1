"""The journal in the database."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from control.domain.errors import AmbiguousError, NotFoundError
from control.domain.journal import UNDER_WAY, CallFilter, Step, cursor_after
from control.domain.quality import Heard, Leg, Quality, Side
from control.services import heartbeat, journal, registrations
from control.services.registrations import Registered
from control.store.models import CallAudio

T = 1_700_000_000.123456


def call(reference: str = "k3f9a2", begin: float = T) -> list[Step]:
    def step(ms: float, name: str, device: str = "", provider: str = "", code: int = 0) -> Step:
        return Step(reference, begin + ms / 1000, name, device, provider, code=code)

    return [
        Step(reference, begin, "invite-in", direction="in", caller="1001", sip_call_id=f"{reference}@pbx"),
        step(0.9, "push-sent", "alice-k7f3qd", "apns"),
        step(15, "push-accepted", "alice-k7f3qd", "apns", 200),
        step(412, "register", "alice-k7f3qd"),
        step(413, "invite-out", "alice-k7f3qd"),
        step(2950, "answered", "alice-k7f3qd", code=200),
        step(18950, "bye"),
    ]


def test_u2_the_story_has_every_step_with_the_milliseconds_between(session: Session) -> None:
    journal.record(session, call())
    story = journal.story(session, "k3f9a2")
    assert [beat.step.step for beat in story.beats][:3] == ["invite-in", "push-sent", "push-accepted"]
    assert [round(beat.gap_ms, 2) for beat in story.beats][:4] == [0.0, 0.9, 14.1, 397.0]
    assert story.summary == "Answered; they talked for 16.0 s."


def test_steps_told_twice_and_late_make_the_same_journal(session: Session) -> None:
    steps = call()
    journal.record(session, steps[3:])
    journal.record(session, [*steps, steps[0]])
    journal.record(session, steps[:1])
    story = journal.story(session, "k3f9a2")
    assert len(story.beats) == len(steps)
    assert (story.head.caller, story.head.started_at) == ("1001", T)
    assert story.head.outcome == "answered"


def test_two_devices_pushed_to_at_once_are_two_steps(session: Session) -> None:
    journal.record(session, [Step("k1", T, "push-sent", d, "apns") for d in ("alice-a", "alice-b")])
    assert len(journal.story(session, "k1").beats) == 2


HEARD = Heard(mos=4.3, mos_lowest=3.9, loss=0.4, jitter=2.5, round_trip=41.2, course=(4.3, 3.9))
QUALITY = Quality(
    Leg(Side.DEVICE, 800, "opus/48000/2", heard=HEARD), Leg(Side.PBX, 0, quiet=3.0, sends=False)
)


@pytest.mark.parametrize("late", [True, False], ids=["after its steps", "before its steps"])
def test_the_audio_of_a_call_comes_back_as_it_was_written(session: Session, late: bool) -> None:
    if late:
        journal.record(session, call())
    journal.record_quality(session, "k3f9a2", T + 19, QUALITY)
    journal.record(session, call())
    story = journal.story(session, "k3f9a2")
    assert story.quality == QUALITY
    assert story.head.started_at == T
    assert story.summary == "Answered; they talked for 16.0 s. One-way audio: the PBX sent nothing."


def test_audio_that_is_told_twice_is_written_once_and_goes_with_its_call(session: Session) -> None:
    journal.record(session, call())
    journal.record_quality(session, "k3f9a2", T + 19, QUALITY)
    journal.record_quality(session, "k3f9a2", T + 19, Quality(QUALITY.device, QUALITY.device))
    assert journal.story(session, "k3f9a2").quality == QUALITY
    assert journal.prune(session, T + 100) == 1
    assert session.scalars(select(CallAudio)).all() == []


def test_an_empty_batch_is_nothing(session: Session) -> None:
    journal.record(session, [])
    assert journal.latest(session) == []


def test_what_the_network_says_cannot_break_the_batch(session: Session) -> None:
    strange = Step("k1", T, "invite-in", caller="A\x00lice\r\n", reason="x" * 9000, callee="\ud800")
    journal.record(session, [strange, *call()])
    assert "\x00" not in journal.story(session, "k1").head.caller
    assert len(journal.latest(session)) == 2


def test_a_call_is_found_by_reference_prefix_call_id_and_latest(session: Session) -> None:
    journal.record(session, call("k3f9a2"))
    journal.record(session, call("k3aaaa", T + 60))
    for reference in ("k3f9a2", "k3f", "k3f9a2@pbx"):
        assert journal.find(session, reference).call == "k3f9a2"
    assert journal.find(session, "latest").call == "k3aaaa"
    with pytest.raises(AmbiguousError):
        journal.find(session, "k3")


@pytest.mark.parametrize("reference", ["", "%", "_", "zz", "latest"])
def test_a_call_that_is_not_there_is_not_found(session: Session, reference: str) -> None:
    if reference != "latest":
        journal.record(session, call())
    with pytest.raises(NotFoundError):
        journal.find(session, reference)


def test_the_newest_calls_come_first_and_page_by_page(session: Session) -> None:
    for number in range(5):
        journal.record(session, call(f"call{number}", T + number))
    page = journal.latest(session, 2)
    assert [head.call for head in page] == ["call4", "call3"]
    rest = journal.latest(session, 9, cursor_after(page[-1]))
    assert [head.call for head in rest] == ["call2", "call1", "call0"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (CallFilter(since=T + 1), ["call2", "call1"]),
        (CallFilter(outcome=UNDER_WAY), ["going"]),
        (CallFilter(device="alice-k7f3qd"), ["call2", "call1", "call0"]),
        (CallFilter(device="alice-k7f3qd", since=T + 2), ["call2"]),
        (CallFilter(connection="nowhere"), []),
    ],
)
def test_calls_are_found_by_what_is_known_of_them(
    session: Session, wanted: CallFilter, expected: list[str]
) -> None:
    for number in range(3):
        journal.record(session, call(f"call{number}", T + number))
    journal.record(session, [Step("going", T - 1, "invite-in", direction="in")])
    assert [head.call for head in journal.latest(session, 9, wanted=wanted)] == expected


def test_a_message_has_a_record_of_its_kind_and_is_delivered_once_and_for_all(session: Session) -> None:
    def step(ms: float, name: str, device: str = "", code: int = 0) -> Step:
        return Step("m1", T + ms / 1000, name, device, code=code)

    journal.record(session, [step(0, "message-in"), step(2, "message-out", "a"), step(9, "failed", code=480)])
    assert journal.find(session, "m1").outcome == "failed"
    journal.record(session, [step(7000, "delivered", "a", 200), step(9000, "delivered", "b", 200)])
    head = journal.find(session, "m1")
    assert (head.kind, head.outcome, head.code) == ("message", "delivered", 200)
    assert head.ended_at == pytest.approx(T + 7)
    assert journal.story(session, "m1").summary == "Message delivered after 7.00 s."
    found = journal.latest(session, wanted=CallFilter(outcome="delivered"))
    assert [each.call for each in found] == ["m1"]


def test_what_is_known_of_a_call_grows(session: Session) -> None:
    steps = call("call0", T)
    journal.record(session, steps[:1])
    before = journal.size(session, "call0")
    journal.record(session, steps)
    assert journal.size(session, "call0") == (len(steps), 0) > before


def test_old_calls_are_pruned_with_their_steps(session: Session) -> None:
    journal.record(session, call("old", T))
    journal.record(session, call("new", T + 100))
    assert journal.prune(session, T + 50) == 1
    assert [head.call for head in journal.latest(session)] == ["new"]


def test_a_batch_of_a_thousand_calls_is_written_in_one_go(session: Session) -> None:
    steps = [call(f"call{number}", T + number / 1000) for number in range(1000)]
    journal.record(session, itertools.chain.from_iterable(steps))
    assert len(journal.latest(session, 2000)) == 1000


def test_p7_the_register_log_masks_push_tokens(session: Session) -> None:
    contact = "<sip:alice-k7f3qd@192.0.2.1;pn-provider=apns;pn-prid=SECRET:voip;x=y>;PN-TOK=SECRET"
    registrations.record(session, [Registered(T, "alice-k7f3qd", "added", 200, contact=contact, expires=600)])
    (logged,) = registrations.last(session, "alice-k7f3qd")
    assert "SECRET" not in logged.contact
    assert "pn-provider=apns" in logged.contact
    assert registrations.prune(session, T + 1) == 1


def test_a_heartbeat_has_an_age(session: Session) -> None:
    assert heartbeat.age(session, heartbeat.EDGE, 100.0) is None
    heartbeat.beat(session, heartbeat.EDGE, 90.0)
    heartbeat.beat(session, heartbeat.EDGE, 97.5, {"wakes": 3})
    assert heartbeat.age(session, heartbeat.EDGE, 100.0) == 2.5
