"""Two devices answer the same call: who has it, and what becomes of the other."""

from __future__ import annotations

import pytest

from kemi import wire
from tests.fakes.edge import ALICE, ALICE_TABLET, Edge, requests
from tests.fakes.kamailio.context import Origin
from tests.fakes.kamailio.core import Sent

SDP = "v=0\r\nc=IN IP4 198.51.100.20\r\nm=audio 4000 RTP/AVP 0\r\n"
CONTACT = "Contact: <sip:tablet@198.51.100.21:40001>"
TABLET = Origin("198.51.100.21", 40001)


def replies(sent: list[Sent]) -> list[int]:
    return [s.message.code for s in sent if not s.message.is_request]


@pytest.fixture
def fork(edge: Edge) -> tuple[Sent, Sent]:
    """A call that rings at two devices."""
    edge.with_person(ALICE, ALICE_TABLET, push=False)
    edge.register(ALICE)
    edge.register(ALICE_TABLET)
    first, second = requests(edge.call_from_pbx(body=SDP), "INVITE")
    edge.events()
    return first, second


def test_w6_the_second_answer_does_not_reach_the_pbx_and_is_ended(
    edge: Edge, fork: tuple[Sent, Sent]
) -> None:
    first, second = fork
    assert replies(edge.answer(first, 200, "OK", body=SDP, tag="one")) == [200]
    sent = edge.answer(second, 200, "OK", CONTACT, body=SDP, tag="two", origin=TABLET)
    assert replies(sent) == []
    ack, bye = (s.message for s in sent)
    number = int(second.message.get("CSeq").split()[0])
    assert (ack.method, ack.get("CSeq")) == ("ACK", f"{number} ACK")
    assert (bye.method, bye.get("CSeq")) == ("BYE", f"{number + 1} BYE")
    for request in (ack, bye):
        assert request.uri == "sip:tablet@198.51.100.21:40001"
        assert request.get("To").endswith(";tag=two")
        assert request.get("Call-ID") == second.message.get("Call-ID")
    assert {s.to for s in sent} == {"sip:198.51.100.21:40001;transport=udp"}
    answered = [e for e in edge.events_of(wire.CallEvent) if e.step == "answered"]
    assert [e.device for e in answered] == [ALICE.id]


def test_w6_a_repeated_second_answer_is_acknowledged_again(edge: Edge, fork: tuple[Sent, Sent]) -> None:
    first, second = fork
    edge.answer(first, 200, "OK", tag="one")
    edge.answer(second, 200, "OK", CONTACT, tag="two", origin=TABLET)
    again = edge.answer(second, 200, "OK", CONTACT, tag="two", origin=TABLET)
    assert [s.message.method for s in again] == ["ACK"]


def test_w6_the_first_answer_may_be_repeated(edge: Edge, fork: tuple[Sent, Sent]) -> None:
    first, _ = fork
    edge.answer(first, 200, "OK", tag="one")
    assert requests(edge.answer(first, 200, "OK", tag="one"), "BYE") == []


@pytest.mark.parametrize(("code", "reason"), [(183, "Session Progress"), (200, "OK")])
def test_w6_a_late_leg_does_not_touch_the_media(
    edge: Edge, fork: tuple[Sent, Sent], code: int, reason: str
) -> None:
    first, second = fork
    edge.answer(first, 200, "OK", body=SDP, tag="one")
    before = list(edge.kamailio.rtpengine.commands)
    edge.answer(second, code, reason, CONTACT, body=SDP, tag="two", origin=TABLET)
    assert edge.kamailio.rtpengine.commands == before


def test_w6_two_calls_do_not_mistake_each_others_answers(edge: Edge) -> None:
    edge.with_person(ALICE, push=False)
    edge.register(ALICE)
    (one,) = requests(edge.call_from_pbx(), "INVITE")
    assert replies(edge.answer(one, 200, "OK")) == [200]
    (two,) = requests(edge.call_from_pbx(call_id="another"), "INVITE")
    assert replies(edge.answer(two, 200, "OK")) == [200]


def test_w6_an_answer_that_came_by_way_of_ourselves_is_sent_away_by_the_route_of_that_errand(
    edge: Edge, fork: tuple[Sent, Sent]
) -> None:
    first, second = fork
    edge.answer(first, 200, "OK", body=SDP, tag="one")
    errands = "<sip:127.0.7.1;lr;nb=errand>", "<sip:127.0.7.1:5061;transport=tls;lr;nb=errand>"
    sent = edge.answer(
        second,
        200,
        "OK",
        CONTACT,
        f"Record-Route: {', '.join(errands)}, <sip:127.0.7.1;lr;nb=calls>",
        tag="two",
        origin=Origin("127.0.7.1", 5060, "udp", 5060),
    )
    gone = [s.message for s in sent if s.message.is_request] or [
        t.request for t in edge.kamailio.transactions.all.values()
    ]
    assert [message.method for message in gone] == ["ACK", "BYE"]
    assert {message.get("Route") for message in gone} == {f"{errands[1]}, {errands[0]}"}
