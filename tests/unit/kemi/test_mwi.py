"""Message waiting: taken from the PBX, told to who is there, pushed to who sleeps and wants it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import message_summary, wire
from kemi.message_summary import Summary
from tests.fakes.edge import ALICE, ALICE_AOR, ALICE_TABLET, CONNECTION, PBX, Edge, codes, requests
from tests.fakes.kamailio import Sent

WAITING = "Messages-Waiting: yes\r\nMessage-Account: sip:1002@pbx.example\r\nVoice-Message: 2/8 (0/2)\r\n"


def summary_from_pbx(edge: Edge, body: str = WAITING, event: str = "message-summary") -> list[Sent]:
    raw = edge.request("NOTIFY", f"sip:{CONNECTION}@127.0.7.1", f"Event: {event}", body=body)
    return edge.kamailio.receive(raw, PBX)


def told(sent: list[Sent]) -> list[tuple[str, str]]:
    """To whom a summary went, and its second line."""
    return [(s.message.uri, s.message.body.split("\r\n")[1]) for s in requests(sent, "NOTIFY")]


def with_alice(edge: Edge, *, voicemail: bool = True) -> Edge:
    edge.with_person(ALICE, ALICE_TABLET)
    line = wire.LineDoc([wire.LineDevice(d.id, True) for d in (ALICE, ALICE_TABLET)], voicemail=voicemail)
    edge.put("line", ALICE_AOR, line)
    return edge


def test_r5_a_summary_is_accepted_and_goes_to_those_who_are_awake(edge: Edge) -> None:
    with_alice(edge)
    edge.register(ALICE)
    edge.events()
    sent = summary_from_pbx(edge)
    assert codes(sent) == [200]
    assert told(sent) == [(ALICE.contact, "Voice-Message: 2/8 (0/0)")]
    (notify,) = requests(sent, "NOTIFY")
    assert notify.message.get("Event") == "message-summary"
    assert notify.message.get("Content-Type") == "application/simple-message-summary"
    assert notify.socket == "udp:127.0.7.1:5060"
    (event,) = edge.events_of(wire.VoicemailEvent)
    assert (event.connection, event.new, event.asleep) == (CONNECTION, 2, [ALICE_TABLET.id])


def test_a_device_that_comes_is_told_the_newest_and_one_that_stays_is_not_told_again(edge: Edge) -> None:
    with_alice(edge)
    summary_from_pbx(edge)
    summary_from_pbx(edge, "Messages-Waiting: no\r\nVoice-Message: 0/10 (0/0)\r\n")
    assert told(edge.register(ALICE)) == [(ALICE.contact, "Voice-Message: 0/10 (0/0)")]
    assert told(edge.register(ALICE)) == []


def test_without_a_summary_nobody_is_told_anything(edge: Edge) -> None:
    with_alice(edge)
    assert told(edge.register(ALICE)) == []


@pytest.mark.parametrize("voicemail", [True, False])
def test_only_more_new_messages_are_news_and_only_for_those_who_want_them(
    edge: Edge, voicemail: bool
) -> None:
    with_alice(edge, voicemail=voicemail)
    counts, kept = [], []
    for body in (
        "Messages-Waiting: no\nVoice-Message: 0/1",
        WAITING,
        WAITING,  # told again
        "Messages-Waiting: yes\nVoice-Message: 1/9",  # one was heard
        "Messages-Waiting: yes\nVoice-Message: 3/9",
    ):
        assert codes(summary_from_pbx(edge, body)) == [200]
        told = edge.events_of(wire.VoicemailEvent)
        kept += [(event.waiting, event.new, event.old) for event in told]
        counts += [event.new for event in told if event.asleep]
    assert counts == ([2, 3] if voicemail else [])
    assert kept == [(False, 0, 1), (True, 2, 8), (True, 1, 9), (True, 3, 9)], (
        "each change is told, to be kept"
    )


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("presence", WAITING),
        ("message-summary", ""),
        ("message-summary", "Messages-Waiting: maybe"),
        ("message-summary", WAITING + "x" * 4000),
    ],
)
def test_what_is_no_summary_is_accepted_and_forgotten(edge: Edge, event: str, body: str) -> None:
    with_alice(edge)
    edge.register(ALICE)
    sent = summary_from_pbx(edge, body, event)
    assert codes(sent) == [200]
    assert told(sent) == []
    assert edge.table("summary") == {}


def test_a_summary_without_counts_says_that_something_waits() -> None:
    assert message_summary.read("messages-waiting : YES") == Summary(True, 1, 0)
    assert message_summary.read("Messages-Waiting: no") == Summary(False, 0, 0)


@given(st.booleans(), st.integers(0, 999_999), st.integers(0, 999_999))
def test_a_summary_comes_back_from_its_note_and_its_body(waiting: bool, new: int, old: int) -> None:
    summary = Summary(waiting, new, old)
    assert message_summary.read_note(summary.note) == summary
    assert message_summary.read(summary.body) == summary


@given(st.text())
def test_reading_survives_any_text(text: str) -> None:
    message_summary.read(text)
    message_summary.read_note(text)
