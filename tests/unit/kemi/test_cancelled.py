"""A call that is given up: the phones that ring have a second for their own answer, then Nightbell gives it for them."""

from __future__ import annotations

import pytest

from kemi import cancelled, wire
from tests.fakes.edge import ALICE, ALICE_TABLET, CONNECTION, PBX, SDP, Edge, replies, requests
from tests.fakes.kamailio import Sent

TRYING, RINGING, GONE = (100, "Trying"), (180, "Ringing"), (487, "Request Terminated")
CONTACT = "Contact: <sip:phone@198.51.100.20:40000>"


def cancel(edge: Edge, invite: int = 0) -> list[Sent]:
    """The caller gives up the ``invite``-th INVITE that came."""
    message = [t.request for t in edge.kamailio.transactions.all.values()][invite]
    text = edge.request(
        "CANCEL",
        message.uri,
        via=message.get("Via"),
        from_=message.get("From"),
        to=message.get("To"),
        call_id=message.get("Call-ID"),
        cseq=message.get("CSeq").replace("INVITE", "CANCEL"),
    )
    return edge.kamailio.receive(text, PBX)


def later(edge: Edge) -> list[Sent]:
    """The timer's next turn."""
    return edge.kamailio.run_timer("ksr_rtimer_cancelled")


def to_caller(sent: list[Sent]) -> list[int]:
    """The answers the caller is sent to its INVITE."""
    caller = f"{PBX.address}:{PBX.port}"
    return [s.message.code for s in sent if s.to == caller and s.message.get("CSeq").endswith("INVITE")]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second has passed whenever the timer looks."""
    monkeypatch.setattr(cancelled, "_PATIENCE", 0.0)


@pytest.fixture
def ringing(edge: Edge) -> Sent:
    """A call that rings at one phone."""
    edge.with_person(ALICE, push=False)
    edge.register(ALICE)
    (invite,) = requests(edge.call_from_pbx(), "INVITE")
    edge.answer(invite, *TRYING)
    edge.answer(invite, *RINGING)
    return invite


@pytest.mark.usefixtures("impatient")
def test_a_phone_that_rang_and_is_gone_is_answered_for(edge: Edge, ringing: Sent) -> None:
    edge.events()
    assert to_caller(cancel(edge)) == []
    assert to_caller(later(edge)) == [487]
    assert [(e.step, e.code) for e in edge.events_of(wire.CallEvent)] == [("cancelled", 487)]
    assert edge.kamailio.rtpengine.commands[-1][0] == "delete"
    assert later(edge) == []
    assert edge.table("ringing") == edge.table("cancelled") == {}


@pytest.mark.usefixtures("impatient")
def test_it_learns_when_it_is_back_what_became_of_the_call(edge: Edge, ringing: Sent) -> None:
    cancel(edge)
    later(edge)
    (call,) = {e.call for e in edge.events_of(wire.CallEvent)}
    registered = replies(edge.register(ALICE))[-1]
    assert registered.get("Nightbell-Call") == f"{call};state=cancelled"


@pytest.mark.usefixtures("impatient")
def test_its_answer_is_for_nobody_then(edge: Edge, ringing: Sent) -> None:
    cancel(edge)
    later(edge)
    sent = edge.answer(ringing, 200, "OK", CONTACT, body=SDP)
    assert [s.message.method for s in sent] == ["ACK", "BYE"]
    assert [s.message.method for s in edge.answer(ringing, 200, "OK", CONTACT, body=SDP)] == ["ACK"]


def test_a_phone_that_is_there_has_a_second_for_its_own_answer(edge: Edge, ringing: Sent) -> None:
    cancel(edge)
    assert later(edge) == []
    assert to_caller(edge.answer(ringing, *GONE)) == [487]


@pytest.mark.usefixtures("impatient")
def test_nobody_answers_for_a_phone_that_has_answered_itself(edge: Edge, ringing: Sent) -> None:
    cancel(edge)
    edge.answer(ringing, *GONE)
    assert later(edge) == []


@pytest.mark.usefixtures("impatient")
def test_only_who_is_silent_is_answered_for(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET, push=False)
    edge.register(ALICE)
    edge.register(ALICE_TABLET)
    there, silent = requests(edge.call_from_pbx(), "INVITE")
    edge.answer(there, *RINGING)
    edge.answer(silent, *TRYING)
    cancel(edge)
    edge.answer(there, *GONE)
    answers = [s.message.via_branch for s in later(edge) if s.to == f"sip:{edge.kamailio.park}"]
    assert answers == [silent.message.via_branch]


@pytest.mark.usefixtures("impatient")
def test_a_cancel_that_crosses_the_answer_ends_nothing(edge: Edge, ringing: Sent) -> None:
    edge.answer(ringing, 200, "OK", body=SDP)
    cancel(edge)
    assert later(edge) == []
    assert "delete" not in [c[0] for c in edge.kamailio.rtpengine.commands]


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_crosses_the_cancel_is_the_callers(edge: Edge, ringing: Sent) -> None:
    cancel(edge)
    assert to_caller(edge.answer(ringing, 200, "OK", body=SDP)) == [200]
    assert later(edge) == []
    assert edge.table("cancelled") == {}


@pytest.mark.usefixtures("impatient")
def test_an_invite_with_the_same_call_id_goes_on(edge: Edge, ringing: Sent) -> None:
    """A PBX that calls one after the other does that, with the same CSeq and tag."""
    cancel(edge)
    later(edge)
    first = next(t.request for t in edge.kamailio.transactions.all.values())
    (second,) = requests(
        edge.call_from_pbx(call_id=first.get("Call-ID"), from_=first.get("From"), cseq=first.get("CSeq")),
        "INVITE",
    )
    assert to_caller(edge.answer(second, 200, "OK", CONTACT, body=SDP)) == [200]


@pytest.mark.usefixtures("impatient")
def test_a_reply_without_the_callers_via_does_no_harm(edge: Edge) -> None:
    edge.with_person(ALICE, push=False)
    edge.register(ALICE)
    (invite,) = requests(edge.call_from_pbx(), "INVITE")
    lines = [f"{n}: {invite.message.get(n)}" for n in ("From", "To", "Call-ID", "CSeq")]
    via = f"Via: {invite.message.all('Via')[0]}"
    edge.kamailio.receive("\r\n".join(["SIP/2.0 180 Ringing", via, *lines]) + "\r\n\r\n")
    cancel(edge)
    assert later(edge) == []


def test_a_cancel_of_nothing_is_nothing(edge: Edge) -> None:
    edge.with_person(ALICE, push=False)
    stray = edge.request("CANCEL", f"sip:{CONNECTION}@127.0.7.1:5060")
    assert edge.kamailio.receive(stray, PBX) == []
