"""A request within a dialog for a device that sleeps: held, its device woken, sent on by its new flow (RFC 8599, 6)."""

from __future__ import annotations

import re

import pytest

from kemi import call_mark, held_request, wire
from kemi.call_mark import Mark
from kemi.media_profile import Terms
from tests.fakes.edge import ALICE, ALICE_TABLET, CONNECTION, PBX, SDP, Edge, codes, replies, requests
from tests.fakes.kamailio import Sent
from tests.fakes.kamailio.context import Origin

CALL = "00d1a2b3c4e5f607"
PUSH = "pn-provider=fcm;pn-param=project;pn-prid=token"
NEW_FLOW = Origin("198.51.100.99", 41000)


def purr_of(edge: Edge) -> str:
    """Alice's phone registers with a push token; what it is to put into its Contact."""
    contact = f"<{ALICE.contact};{PUSH}>"
    caps = replies(edge.register(ALICE, contact=contact))[-1].get("Feature-Caps")
    found = re.fullmatch(r'\*;\+sip\.pns="fcm";\+sip\.pnspurr="([A-Za-z0-9_-]+)"', caps)
    assert found, caps
    return found[1]


def from_pbx(edge: Edge, method: str, purr: str, *headers: str, body: str = "", **parts: str) -> list[Sent]:
    """The PBX, which had called, sends a request within the call to Alice's phone."""
    mark = call_mark.seal(Mark(CALL, Terms(), caller=call_mark.short_tag("pbx")), "the-call", edge.node.key)
    text = edge.request(
        method,
        f"{ALICE.contact};pn-purr={purr}",
        f"Route: <sip:127.0.7.1:5060;lr;nb={mark}>",
        *headers,
        body=body,
        **{
            "from_": "<sip:1001@192.0.2.7>;tag=pbx",
            "to": f"<sip:x@{edge.node.settings.domain}>;tag=theirs",
            "call_id": "the-call",
        }
        | parts,
    )
    return edge.kamailio.receive(text, PBX)


def gone(edge: Edge) -> None:
    """The phone's flow is lost, and its binding with it."""
    (binding,) = edge.kamailio.registrar.bindings(edge.node.device_uri(ALICE.id))
    edge.kamailio.registrar.lose(binding.received)
    edge.events()


def steps(edge: Edge) -> list[tuple[str, str, int, str]]:
    return [(e.step, e.device, e.code, e.reason) for e in edge.events_of(wire.CallEvent)]


@pytest.fixture
def purr(edge: Edge) -> str:
    edge.with_person(ALICE)
    return purr_of(edge)


def test_a_register_with_a_token_is_given_a_purr_and_one_without_is_not(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    purr_of(edge)
    assert replies(edge.register(ALICE_TABLET))[-1].all("Feature-Caps") == []


def test_a_bye_is_held_told_and_goes_out_when_the_phone_registers(edge: Edge, purr: str) -> None:
    gone(edge)
    assert from_pbx(edge, "BYE", purr) == []
    assert [command[0] for command in edge.kamailio.rtpengine.commands] == ["delete"]
    told = edge.events()
    assert [e.step for e in told if isinstance(e, wire.CallEvent)] == ["bye", "request-held"]
    (wake,) = (e for e in told if isinstance(e, wire.WakeEvent))
    assert (wake.call, wake.asleep, wake.purpose, wake.early_ringing) == (CALL, [ALICE.id], "request", False)
    assert (wake.connection, wake.aor) == (CONNECTION, "sip:alice@nightbell.test")

    (bye,) = requests(edge.register(ALICE, contact=f"<sip:other@x.invalid;{PUSH}>", origin=NEW_FLOW), "BYE")
    assert bye.message.uri == f"{ALICE.contact};pn-purr={purr}"
    assert bye.to == f"sip:{NEW_FLOW.address}:{NEW_FLOW.port}"
    assert not bye.message.has("X-Nightbell-Wake")
    assert not bye.message.has("X-Nightbell-Letter")
    assert codes(edge.answer(bye, 200, "OK", origin=NEW_FLOW)) == [200]
    assert steps(edge) == [
        ("request-out", ALICE.id, 0, "BYE"),
        ("request-answered", ALICE.id, 200, "OK"),
    ]
    assert edge.table("parked") == edge.table("letters") == {}
    assert requests(edge.register(ALICE), "BYE") == [], "nobody gets it twice"


def test_it_is_sent_to_where_the_phone_is_bound_now(edge: Edge, purr: str) -> None:
    edge.register(ALICE, contact=f"<sip:other@x.invalid;{PUSH}>", origin=NEW_FLOW)
    (bye,) = requests(from_pbx(edge, "BYE", purr), "BYE")
    assert bye.message.uri == f"{ALICE.contact};pn-purr={purr}"
    assert bye.to == f"sip:{NEW_FLOW.address}:{NEW_FLOW.port}"
    edge.events()
    assert codes(edge.answer(bye, 200, "OK", origin=NEW_FLOW)) == [200]
    assert edge.events_of(wire.WakeEvent) == []


def test_w4_a_request_that_comes_again_while_it_is_held_wakes_once(edge: Edge, purr: str) -> None:
    gone(edge)
    for _ in range(3):
        assert from_pbx(edge, "BYE", purr, via="SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKthe-bye") == []
    told = edge.events()
    assert len([e for e in told if isinstance(e, wire.WakeEvent)]) == 1
    assert [e.step for e in told if isinstance(e, wire.CallEvent)] == ["bye", "request-held"]


def test_w7_a_phone_that_is_silent_behind_its_binding_is_woken(edge: Edge, purr: str) -> None:
    (silent,) = requests(from_pbx(edge, "BYE", purr), "BYE")
    edge.events()
    assert edge.kamailio.advance(3.1) == []
    (wake,) = edge.events_of(wire.WakeEvent)
    assert wake.asleep == [ALICE.id]
    assert edge.kamailio.run_timer("ksr_rtimer_letters") == [], "not by the binding that was silent"
    (bye,) = requests(edge.register(ALICE, contact=f"<{ALICE.contact};{PUSH}>", origin=NEW_FLOW), "BYE")
    assert bye.message.via_branch != silent.message.via_branch
    assert codes(edge.answer(bye, 200, "OK", origin=NEW_FLOW)) == [200]


def test_w2_a_phone_that_registers_while_its_request_is_put_aside_is_found_by_the_timer(
    edge: Edge, purr: str
) -> None:
    gone(edge)
    from_pbx(edge, "BYE", purr)
    edge.kamailio.registrar.bind(edge.node.device_uri(ALICE.id), ALICE.contact, received=ALICE.contact)
    (bye,) = requests(edge.kamailio.run_timer("ksr_rtimer_letters"), "BYE")
    assert codes(edge.answer(bye, 200, "OK")) == [200]


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "INFO", "REFER", "NOTIFY", "INVITE"])
def test_who_does_not_wake_is_answered_for_before_the_sender_gives_up(
    edge: Edge, purr: str, method: str
) -> None:
    gone(edge)
    trying = codes(from_pbx(edge, method, purr))
    assert trying == ([100] if method == "INVITE" else [])
    assert edge.kamailio.advance(held_request.LONGEST_WAIT - 0.5) == []
    (refused,) = replies(edge.kamailio.advance(1.0))
    assert (refused.code, refused.get("Reason")) == (
        480,
        'SIP;cause=480;text="The device did not wake in time"',
    )
    assert steps(edge)[-1] == ("request-failed", ALICE.id, 480, f"{method}: The device did not wake in time")
    assert edge.table("parked") == edge.table("letters") == {}


def test_s4_an_offer_to_who_does_not_wake_is_taken_back(edge: Edge, purr: str) -> None:
    (invite,) = requests(from_pbx(edge, "INVITE", purr, body=SDP), "INVITE")
    edge.answer(invite, 200, "OK", f"Contact: <{ALICE.contact}>", body=SDP)
    gone(edge)
    hold = SDP + "a=sendonly\r\n"
    from_pbx(edge, "INVITE", purr, body=hold)
    edge.kamailio.advance(held_request.LONGEST_WAIT + 0.5)
    rtpengine = edge.kamailio.rtpengine
    assert [c[0] for c in rtpengine.commands[-3:]] == ["offer", "offer", "answer"]
    assert rtpengine.descriptions[-3:] == [hold, SDP, SDP]


def test_when_the_edge_agent_gives_up_the_sender_learns_why_at_once(edge: Edge, purr: str) -> None:
    gone(edge)
    from_pbx(edge, "INFO", purr)
    (wake,) = edge.events_of(wire.WakeEvent)
    (refused,) = replies(edge.kamailio.order(wake.transaction, 599, "Its push token is for calls alone"))
    assert refused.get("Reason") == 'SIP;cause=480;text="Its push token is for calls alone"'
    (ended,) = edge.events_of(wire.WakeEndEvent)
    assert ended.outcome == "given-up"


def test_a_held_reinvite_keeps_its_media_in_step_and_its_answer_shows_the_new_flow(
    edge: Edge, purr: str
) -> None:
    gone(edge)
    assert codes(from_pbx(edge, "INVITE", purr, "Contact: <sip:1001@192.0.2.7>", body=SDP)) == [100]
    (invite,) = requests(edge.register(ALICE, contact=f"<{ALICE.contact};{PUSH}>", origin=NEW_FLOW), "INVITE")
    assert invite.message.has("Record-Route")
    contact = f"Contact: <{ALICE.contact};pn-purr={purr}>"
    (answer,) = replies(edge.answer(invite, 200, "OK", contact, body=SDP, origin=NEW_FLOW))
    assert answer.code == 200
    assert f"pn-purr={purr}" in answer.get("Contact")
    assert f"alias={NEW_FLOW.address}~{NEW_FLOW.port}~1" in answer.get("Contact")
    assert [command[0] for command in edge.kamailio.rtpengine.commands] == ["offer", "answer"]


def test_a_reinvite_that_is_cancelled_while_it_is_held_is_over(edge: Edge, purr: str) -> None:
    gone(edge)
    via = "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKre"
    from_pbx(edge, "INVITE", purr, body=SDP, via=via)
    cancel = edge.request(
        "CANCEL", f"{ALICE.contact};pn-purr={purr}", via=via, call_id="the-call", cseq="1 CANCEL"
    )
    assert 487 in codes(edge.kamailio.receive(cancel, PBX))
    assert [e.outcome for e in edge.events_of(wire.WakeEndEvent)] == ["cancelled"]
    assert requests(edge.register(ALICE), "INVITE") == []


@pytest.mark.parametrize("value", ["", "forged", "A" * 64])
def test_a_purr_that_we_have_not_made_changes_nothing(edge: Edge, value: str) -> None:
    edge.with_person(ALICE)
    edge.events()
    (bye,) = requests(from_pbx(edge, "BYE", value), "BYE")
    assert bye.to == f"{ALICE.contact};pn-purr={value}"
    assert edge.events_of(wire.WakeEvent) == []


def test_what_a_pbx_says_in_our_headers_is_not_believed(edge: Edge, purr: str) -> None:
    gone(edge)
    from_pbx(
        edge, "INFO", purr, "X-Nightbell-Wake: {}", 'X-Nightbell-Letter: {"flow":"","target":"sip:evil"}'
    )
    (info,) = requests(edge.register(ALICE), "INFO")
    assert info.message.uri == f"{ALICE.contact};pn-purr={purr}"
