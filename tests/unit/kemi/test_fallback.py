"""Nobody wakes, and the call goes on to where its person chose: what leaves, what the caller hears, when it ends all the same."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from kemi import wire
from tests.fakes.edge import (
    ALICE,
    ALICE_AOR,
    CONNECTION,
    IDENTITY_KEY,
    PBX,
    PHONE,
    SDP,
    Device,
    Edge,
    codes,
    replies,
    requests,
)
from tests.fakes.kamailio import Sent
from tests.fakes.kamailio.context import Origin

DORA = Device("dora-x1y2z3")
DORA_AOR = "sip:dora@nightbell.test"
DORAS_PHONE = Origin("198.51.100.30", 41000)
KEY = bytes.fromhex(IDENTITY_KEY)


def with_fallback(edge: Edge, **chosen: str) -> None:
    """Alice, whose device sleeps, with a fallback; and Dora with a device."""
    edge.with_person(ALICE, wait=20)
    line = wire.LineDoc([wire.LineDevice(ALICE.id, True)], 20.0)
    line.__dict__.update(chosen)
    edge.put("line", ALICE_AOR, line)
    edge.put("device", DORA.id, wire.DeviceDoc(DORA_AOR, DORA.ha1, CONNECTION))
    edge.put("line", DORA_AOR, wire.LineDoc([wire.LineDevice(DORA.id, True)], 15.0))


def steps(edge: Edge) -> list[tuple[str, str]]:
    return [(event.step, event.device) for event in edge.events_of(wire.CallEvent)]


def to_dora(sent: list[Sent]) -> Sent:
    (found,) = [s for s in requests(sent, "INVITE") if DORA.id in s.to or DORA.id in s.message.uri]
    return found


def dora_is_awake(edge: Edge) -> None:
    edge.register(DORA, contact=f"<sip:{DORA.id}@198.51.100.30:41000>", origin=DORAS_PHONE)
    edge.events()


def nobody_wakes(edge: Edge) -> list[Sent]:
    """A call, and its deadline."""
    edge.call_from_pbx()
    edge.events()
    return edge.kamailio.advance(21)


def test_a_device_of_somebody_else_is_rung_when_nobody_wakes(edge: Edge) -> None:
    with_fallback(edge, fallback_device=DORA.id)
    dora_is_awake(edge)
    sent = nobody_wakes(edge)
    assert 480 not in codes(sent)
    invite = to_dora(sent)
    assert invite.message.all("X-Nightbell-Errand") == []
    told = edge.events_of(wire.CallEvent)
    fallback = next(event for event in told if event.step == "fallback")
    assert fallback.reason == f"No device woke up in time; {DORA.id} is rung"
    inner = next(event for event in told if event.step == "invite-in")
    assert (inner.reason, inner.aor) == (f"Fallback of call {fallback.call}", DORA_AOR)
    answer = edge.answer(
        invite, 200, "OK", f"Contact: <sip:{DORA.id}@198.51.100.30:41000>", body=SDP, origin=DORAS_PHONE
    )
    (ok,) = [reply for reply in replies(answer) if reply.code == 200]
    # Its way back was written the first time it came through, and not again by way of ourselves.
    assert ok.get("Contact").count("alias") <= 1
    assert ("answered", "") in steps(edge)
    assert edge.table("fallback") == {}


def test_a_number_is_called_through_the_connection(edge: Edge) -> None:
    with_fallback(edge, fallback_number="+4930123", fallback_connection=CONNECTION)
    sent = nobody_wakes(edge)
    (invite,) = requests(sent, "INVITE")
    assert invite.message.uri == "sip:+4930123@pbx.example"
    assert "1002@pbx.example" in invite.message.get("From")
    challenge = 'WWW-Authenticate: Digest realm="asterisk", nonce="n", qop="auth"'
    (again,) = requests(edge.answer(invite, 401, "Unauthorized", challenge, origin=PBX), "INVITE")
    assert "Digest" in again.message.get("Authorization")
    answer = edge.answer(again, 200, "OK", "Contact: <sip:x@192.0.2.7>", body=SDP, origin=PBX)
    assert 200 in codes(answer)


def test_a_sleeping_fallback_is_held_and_woken_in_its_turn(edge: Edge) -> None:
    with_fallback(edge, fallback_device=DORA.id)
    nobody_wakes(edge)
    wake = edge.events_of(wire.WakeEvent)[-1]
    assert (wake.asleep, wake.aor, wake.early_ringing) == ([DORA.id], DORA_AOR, False)
    sent = edge.register(DORA, contact=f"<sip:{DORA.id}@198.51.100.30:41000>", origin=DORAS_PHONE)
    assert to_dora(sent)


def test_a_fallback_that_nobody_takes_ends_the_call_with_480(edge: Edge) -> None:
    with_fallback(edge, fallback_device=DORA.id)
    nobody_wakes(edge)
    sent = edge.kamailio.advance(30)
    (refused,) = [reply for reply in replies(sent) if reply.code >= 300]
    assert refused.code == 480
    assert edge.table("fallback") == {}
    assert [step for step, _ in steps(edge)].count("fallback") <= 1


def test_a_fallback_that_is_busy_says_so(edge: Edge) -> None:
    with_fallback(edge, fallback_device=DORA.id)
    edge.put("line", DORA_AOR, wire.LineDoc([wire.LineDevice(DORA.id, False)], 15.0))
    dora_is_awake(edge)
    invite = to_dora(nobody_wakes(edge))
    sent = edge.answer(invite, 486, "Busy Here", origin=DORAS_PHONE)
    assert codes(sent)[-1] == 486


def test_a_device_that_declines_wants_no_fallback(edge: Edge) -> None:
    with_fallback(edge, fallback_device=DORA.id)
    edge.register(ALICE)
    dora_is_awake(edge)
    invite = requests(edge.call_from_pbx(), "INVITE")[0]
    edge.answer(invite, 603, "Decline")
    wake = edge.events_of(wire.WakeEvent)[0]
    sent = edge.kamailio.order(wake.transaction, 599, "No device takes the call")
    assert requests(sent, "INVITE") == []


def test_a_person_without_any_device_is_called_at_the_fallback_at_once(edge: Edge) -> None:
    with_fallback(edge, fallback_device=DORA.id)
    edge.put("line", ALICE_AOR, wire.LineDoc([], 20.0, fallback_device=DORA.id))
    dora_is_awake(edge)
    assert to_dora(edge.call_from_pbx())


def test_the_caller_who_gives_up_ends_the_fallback(edge: Edge) -> None:
    with_fallback(edge, fallback_device=DORA.id)
    dora_is_awake(edge)
    text = edge.invite_from_pbx()
    edge.kamailio.receive(text, PBX)
    invite = to_dora(edge.kamailio.advance(21))
    edge.answer(invite, 180, "Ringing", origin=DORAS_PHONE)
    original = next(iter(edge.kamailio.transactions.all.values())).request
    cancel = edge.request(
        "CANCEL",
        original.uri,
        via=original.get("Via"),
        from_=original.get("From"),
        call_id=original.get("Call-ID"),
    )
    sent = edge.kamailio.receive(cancel, PBX)
    assert requests(sent, "CANCEL")
    edge.answer(invite, 487, "Request Terminated", origin=DORAS_PHONE)
    assert edge.table("fallback") == {}


def test_a_way_that_comes_back_here_is_gone_three_times_and_no_more(edge: Edge) -> None:
    with_fallback(edge, fallback_number="+4930123", fallback_connection=CONNECTION)
    for _ in range(3):
        (invite,) = requests(nobody_wakes(edge), "INVITE")
        assert invite.message.uri == "sip:+4930123@pbx.example"
        edge.answer(invite, 180, "Ringing", origin=PBX)
    sent = nobody_wakes(edge)
    assert requests(sent, "INVITE") == []
    assert 480 in codes(sent)
    assert "its calls seem to come back here" in next(
        event.reason for event in edge.events_of(wire.CallEvent) if event.step == "fallback"
    )


# Sealed when tests are collected, and used whenever it is their turn.
ERRAND = wire.Errand(time.time() + 86_400, "Test call", device=ALICE.id)


@pytest.mark.parametrize(
    "body",
    [
        ERRAND.seal("call-9", b"another key, of somebody else"),
        ERRAND.seal("another call", KEY),
        replace(ERRAND, expires=time.time() - 1).seal("call-9", KEY),
        "AAAA." + ERRAND.seal("call-9", KEY).rpartition(".")[2],
        "",
        "é.é",
        ".",
    ],
    ids=["key", "call", "time", "text", "empty", "not ASCII", "dot"],
)
def test_an_errand_that_we_did_not_seal_for_this_call_is_none(edge: Edge, body: str) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    text = edge.request(
        "INVITE", "sip:errand@127.0.7.1:5060", f"X-Nightbell-Errand: {body}", body=SDP, call_id="call-9"
    )
    sent = edge.kamailio.receive(text, PHONE)
    assert codes(sent)[-1] == 407
    assert requests(sent, "INVITE") == []


def test_a_sealed_errand_rings_its_device_from_wherever_it_comes(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    body = ERRAND.seal("call-9", KEY)
    text = edge.request(
        "INVITE", "sip:errand@127.0.7.1:5060", f"X-Nightbell-Errand: {body}", body=SDP, call_id="call-9"
    )
    (invite,) = requests(edge.kamailio.receive(text, Origin("127.0.0.1", 50000)), "INVITE")
    assert "X-Nightbell-Errand" not in {name for name, _ in invite.message.headers}


def test_an_errand_for_a_device_that_is_gone_is_refused(edge: Edge) -> None:
    body = replace(ERRAND, device="gone-1").seal("call-9", KEY)
    text = edge.request(
        "INVITE", "sip:errand@127.0.7.1:5060", f"X-Nightbell-Errand: {body}", body=SDP, call_id="call-9"
    )
    assert codes(edge.kamailio.receive(text, PHONE))[-1] == 404


def test_the_pbx_cannot_send_an_errand(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    invites = requests(edge.call_from_pbx("X-Nightbell-Errand: AAAA.00"), "INVITE")
    assert all(not invite.message.all("X-Nightbell-Errand") for invite in invites)


def test_w6_the_fallbacks_device_that_answers_a_moment_too_late_is_thanked_and_sent_away(edge: Edge) -> None:
    with_fallback(edge, fallback_device=DORA.id)
    dora_is_awake(edge)
    at_doras = to_dora(nobody_wakes(edge))
    (at_alices,) = requests(edge.register(ALICE), "INVITE")
    contact = f"Contact: <sip:{ALICE.id}@198.51.100.20:40000>"
    assert 200 in codes(edge.answer(at_alices, 200, "OK", contact, body=SDP, tag="alice"))
    doras = f"Contact: <sip:{DORA.id}@198.51.100.30:41000>"
    sent = edge.answer(at_doras, 200, "OK", doras, body=SDP, origin=DORAS_PHONE, tag="dora")
    assert codes(sent) == []
    assert [(s.message.method, s.to) for s in sent] == [
        (method, "sip:198.51.100.30:41000;transport=udp") for method in ("ACK", "BYE")
    ]
