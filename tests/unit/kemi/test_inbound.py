"""A call from the PBX: who rings, who is woken, what the caller hears."""

from __future__ import annotations

import pytest

from kemi import inbound, ksr, wake_rules, wire
from tests.fakes.edge import (
    ALICE,
    ALICE_AOR,
    ALICE_TABLET,
    CONNECTION,
    PBX,
    PHONE,
    SDP,
    Device,
    Edge,
    codes,
    connection,
    replies,
    requests,
)
from tests.fakes.kamailio import Sent
from tests.fakes.kamailio.context import Origin

RINGING = (180, "Ringing")

OURSELVES = Origin("127.0.7.1", 5060, "udp", 5099)  # our public listener


def wakes(edge: Edge) -> list[wire.WakeEvent]:
    return edge.events_of(wire.WakeEvent)


def steps(edge: Edge) -> list[str]:
    return [event.step for event in edge.events_of(wire.CallEvent)]


def invites(sent: list[Sent]) -> list[Sent]:
    return requests(sent, "INVITE")


def cancel(edge: Edge, reason: str = "") -> list[Sent]:
    """The caller gives up the one call that was made."""
    invite = next(t.request for t in edge.kamailio.transactions.all.values())
    headers = [f"Reason: {reason}"] if reason else []
    text = edge.request(
        "CANCEL",
        invite.uri,
        *headers,
        via=invite.get("Via"),
        from_=invite.get("From"),
        call_id=invite.get("Call-ID"),
    )
    return edge.kamailio.receive(text, PBX)


# -------------------------------------------------------------------------------------------------- sleeping


def test_a_call_to_a_sleeping_device_is_held_and_told(edge: Edge) -> None:
    edge.with_person(ALICE, wait=25)
    sent = edge.call_from_pbx(from_='"Bob, the builder" <sip:bob@192.0.2.7>;tag=1')
    assert codes(sent) == [100]
    assert invites(sent) == []
    (wake,) = wakes(edge)
    assert (wake.asleep, wake.ringing) == ([ALICE.id], [])
    assert (wake.connection, wake.aor, wake.caller, wake.caller_name) == (
        CONNECTION,
        ALICE_AOR,
        "bob",
        "Bob, the builder",
    )
    assert 24 < wake.deadline - wake.ts <= 25
    assert edge.kamailio.transactions.all[wake.transaction].request.uri == "sip:park@127.0.0.1:5099"


def test_the_device_that_registers_is_rung_at_once(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    (wake,) = wakes(edge)
    sent = edge.register(ALICE)
    assert codes(sent) == [200]
    (invite,) = invites(sent)
    assert invite.message.uri == ALICE.contact
    assert not invite.message.has("X-Nightbell-Wake")
    events = edge.events()
    assert [e.calls for e in events if isinstance(e, wire.RegisterEvent) and e.action == "added"] == [
        [wake.call]
    ]
    assert [(e.step, e.device) for e in events if isinstance(e, wire.CallEvent)] == [("invite-out", ALICE.id)]


def test_the_whole_call_is_told_step_by_step(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    assert steps(edge) == ["invite-in"]
    (invite,) = invites(edge.register(ALICE))
    assert steps(edge) == ["invite-out"]
    assert codes(edge.answer(invite, *RINGING)) == [180]
    assert steps(edge) == ["ringing"]
    answered = edge.answer(invite, 200, "OK", f"Contact: <{ALICE.contact}>", body=SDP)
    assert codes(answered) == [200]
    events = edge.events()
    assert [e.step for e in events if isinstance(e, wire.CallEvent)] == ["answered"]
    assert [e.outcome for e in events if isinstance(e, wire.WakeEndEvent)] == ["answered"]
    assert edge.table("park") == edge.table("parked") == {}


def test_w4_three_registers_after_one_push_ring_once(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    assert len(invites(edge.register(ALICE))) == 1
    assert invites(edge.register(ALICE)) == []
    assert invites(edge.register(ALICE, contact=f"<{ALICE.contact};again=1>")) == []


def test_w4_a_retransmitted_invite_wakes_once(edge: Edge) -> None:
    edge.with_person(ALICE)
    text = edge.invite_from_pbx()
    edge.kamailio.receive(text, PBX)
    assert codes(edge.kamailio.receive(text, PBX)) == [100]
    assert len(wakes(edge)) == 1


def test_w3_a_second_device_that_registers_does_not_ring_the_first_again(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.call_from_pbx()
    edge.register(ALICE)
    (invite,) = invites(edge.register(ALICE_TABLET))
    assert invite.message.uri == ALICE_TABLET.contact


def test_w2_a_device_that_registers_while_its_call_is_being_held_is_rung(edge: Edge) -> None:
    edge.with_person(ALICE)

    def in_another_worker() -> None:
        mine = inbound._adding[:]
        edge.register(ALICE)
        inbound._adding[:] = mine

    edge.kamailio.meanwhile("t_relay", in_another_worker)
    (invite,) = invites(edge.call_from_pbx())
    assert invite.message.uri == ALICE.contact


def test_w2_a_device_that_comes_back_by_another_flow_while_its_call_is_being_relayed_is_rung_there(
    edge: Edge,
) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    moved = Origin("203.0.113.9", 50000)

    def in_another_worker() -> None:
        mine = inbound._adding[:]
        edge.register(ALICE, contact=f"<sip:{ALICE.id}@203.0.113.9:50000>", origin=moved)
        inbound._adding[:] = mine

    edge.kamailio.meanwhile("t_relay", in_another_worker)
    sent = invites(edge.call_from_pbx())
    assert [s.to for s in sent] == [f"sip:{PHONE.address}:{PHONE.port}", "sip:203.0.113.9:50000"]


def test_w5_a_device_that_wakes_after_the_caller_gave_up_is_not_rung(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    (wake,) = wakes(edge)
    assert sorted(codes(cancel(edge))) == [200, 487]
    assert [(e.id, e.outcome) for e in edge.events_of(wire.WakeEndEvent)] == [(wake.id, "cancelled")]
    sent = edge.register(ALICE)
    assert invites(sent) == []
    assert replies(sent)[-1].get("Nightbell-Call") == f"{wake.call};state=cancelled"
    assert not replies(edge.register(ALICE))[-1].has("Nightbell-Call")


def test_w5_a_device_that_slept_behind_its_binding_learns_that_the_caller_gave_up(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.call_from_pbx()
    (wake,) = wakes(edge)
    sent = cancel(edge)
    assert codes(sent) == [200]
    assert requests(sent, "CANCEL") == [], "it has not said that it knows the call"
    assert codes(edge.kamailio.advance(4)) == [487]
    reply = replies(edge.register(ALICE))[-1]
    assert reply.get("Nightbell-Call") == f"{wake.call};state=cancelled"


def test_w5_a_device_that_hears_of_a_cancelled_call_is_cancelled_at_once_and_told_no_more(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    (invite,) = invites(edge.call_from_pbx())
    cancel(edge)
    assert len(requests(edge.answer(invite, *RINGING), "CANCEL")) == 1
    edge.answer(invite, 487, "Request Terminated")
    assert not replies(edge.register(ALICE))[-1].has("Nightbell-Call")


def test_w5_nothing_of_a_cancelled_call_is_left(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    cancel(edge)
    assert "cancelled" in steps(edge)
    assert edge.table("park") == edge.table("parked") == {}
    assert ("delete", "", "") in edge.kamailio.rtpengine.commands


def test_w8_nobody_wakes_within_the_deadline(edge: Edge) -> None:
    edge.with_person(ALICE, wait=20)
    edge.call_from_pbx()
    assert codes(edge.kamailio.advance(19)) == []
    (reply,) = replies(edge.kamailio.advance(2))
    assert reply.code == 480
    assert reply.get("Reason") == 'SIP;cause=480;text="No device woke up in time"'
    events = edge.events()
    assert [e.outcome for e in events if isinstance(e, wire.WakeEndEvent)] == ["deadline"]
    assert [e.code for e in events if isinstance(e, wire.CallEvent) and e.step == "failed"] == [480]
    assert edge.table("park") == edge.table("parked") == {}


def test_w8_a_deadline_is_told_as_one_even_when_its_reply_is_back_at_once(edge: Edge) -> None:
    edge.with_person(ALICE, wait=20)
    edge.call_from_pbx()
    edge.kamailio.meanwhile("t_reply", edge.kamailio.deliver)
    assert codes(edge.kamailio.advance(21)) == [480]
    assert [e.outcome for e in edge.events_of(wire.WakeEndEvent)] == ["deadline"]


def test_w8_the_edge_agent_orders_ringing_for_the_caller(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    (wake,) = wakes(edge)
    assert codes(edge.kamailio.order(wake.transaction, 180, "Ringing")) == [180]
    assert "ringing" not in steps(edge), "it is no device that rings"


def test_the_edge_agent_gives_up(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    (wake,) = wakes(edge)
    (reply,) = replies(edge.kamailio.order(wake.transaction, 599, "No token"))
    assert (reply.code, reply.get("Reason")) == (480, 'SIP;cause=480;text="No token"')
    events = edge.events()
    (end,) = (e for e in events if isinstance(e, wire.WakeEndEvent))
    assert (end.id, end.outcome, end.reason) == (wake.id, "given-up", "No token")
    (failed,) = (e for e in events if isinstance(e, wire.CallEvent) and e.step == "failed")
    assert (failed.code, failed.reason) == (480, "No token")


def test_giving_up_leaves_a_device_that_rings_alone(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.register(ALICE)
    (invite,) = invites(edge.call_from_pbx())
    (wake,) = wakes(edge)
    edge.answer(invite, *RINGING)
    assert edge.kamailio.order(wake.transaction, 599, "No token") == []
    assert codes(edge.answer(invite, 200, "OK")) == [200]


def test_w12_a_held_call_is_told_each_second_until_it_is_acknowledged_by_this_agent(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.table("agent")["boot"] = "life-1"
    edge.call_from_pbx()
    (wake,) = wakes(edge)
    edge.kamailio.run_timer("ksr_rtimer_tell")
    assert [w.id for w in wakes(edge)] == [wake.id]
    edge.table("acked")[wake.id] = "life-1"
    edge.kamailio.run_timer("ksr_rtimer_tell")
    assert wakes(edge) == []
    edge.table("agent")["boot"] = "life-2"
    edge.kamailio.run_timer("ksr_rtimer_tell")
    assert wakes(edge) == [wake]


def test_w12_without_an_edge_agent_the_caller_still_hears_in_time(edge: Edge) -> None:
    edge.with_person(ALICE, wait=20)
    edge._agent.close()
    edge.call_from_pbx()
    edge.kamailio.run_timer("ksr_rtimer_tell")
    assert codes(edge.kamailio.advance(21)) == [480]
    assert edge.kamailio.errors == []


def test_two_calls_are_held_for_one_device_and_both_ring_it(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    edge.call_from_pbx()
    assert len({w.call for w in wakes(edge)}) == 2
    assert len(invites(edge.register(ALICE))) == 2


# ----------------------------------------------------------------------------------------------------- awake


def test_an_awake_device_rings_at_once(edge: Edge) -> None:
    edge.with_person(ALICE, push=False)
    edge.register(ALICE)
    (invite,) = invites(edge.call_from_pbx())
    assert (invite.message.uri, invite.to) == (ALICE.contact, f"sip:{PHONE.address}:{PHONE.port}")
    assert wakes(edge) == []
    assert edge.table("parked") == {}


def test_a_device_that_may_sleep_behind_its_binding_rings_and_is_told_as_such(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.events()
    assert len(invites(edge.call_from_pbx())) == 1
    (wake,) = wakes(edge)
    assert (wake.asleep, wake.ringing) == ([], [ALICE.id])


def test_w1_one_device_rings_while_the_other_is_woken(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.register(ALICE)
    edge.events()
    (invite,) = invites(edge.call_from_pbx())
    assert invite.message.uri == ALICE.contact
    (wake,) = wakes(edge)
    assert wake.asleep == [ALICE_TABLET.id]


def test_w6_the_loser_learns_that_the_call_was_answered_elsewhere(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.register(ALICE)
    (first,) = invites(edge.call_from_pbx())
    (second,) = invites(edge.register(ALICE_TABLET))
    edge.answer(first, *RINGING)
    edge.answer(second, *RINGING)
    sent = edge.answer(second, 200, "OK")
    (lost,) = requests(sent, "CANCEL")
    assert lost.message.via_branch == first.message.via_branch
    assert lost.message.get("Reason").startswith("SIP;cause=200")


def test_w6_a_device_that_wakes_after_the_answer_is_not_rung(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.register(ALICE)
    (first,) = invites(edge.call_from_pbx())
    edge.answer(first, 200, "OK")
    edge.events()
    before = list(edge.kamailio.rtpengine.commands)
    sent = edge.register(ALICE_TABLET)
    assert invites(sent) == []
    assert "state=answered" in replies(sent)[-1].get("Nightbell-Call")
    assert edge.kamailio.rtpengine.commands == before


def test_w6_the_device_that_answered_is_not_told_that_the_call_was_answered(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    (invite,) = invites(edge.register(ALICE))
    edge.answer(invite, 200, "OK")
    assert not replies(edge.register(ALICE))[-1].has("Nightbell-Call")


def test_w6_a_device_that_wakes_at_the_instant_of_the_answer_is_not_rung(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.register(ALICE)
    (first,) = invites(edge.call_from_pbx())
    edge.events()
    edge.kamailio.meanwhile("ts_append", lambda: edge.answer(first, 200, "OK"))
    assert invites(edge.register(ALICE_TABLET)) == []
    assert "invite-out" not in steps(edge)


def test_w7_a_device_that_comes_back_by_another_flow_is_rung_there(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.call_from_pbx()
    moved = Origin("203.0.113.9", 50000)
    (invite,) = invites(edge.register(ALICE, contact=f"<sip:{ALICE.id}@203.0.113.9:50000>", origin=moved))
    assert invite.to == "sip:203.0.113.9:50000"
    assert codes(edge.answer(invite, 200, "OK", origin=moved)) == [200]


def test_w7_a_device_behind_the_same_contact_but_another_flow_is_rung_there(edge: Edge) -> None:
    """Behind address translation the Contact says nothing: only where the REGISTER came from does."""
    edge.with_person(ALICE)
    contact = f"<sip:{ALICE.id}@10.0.0.9:5060>"
    edge.register(ALICE, contact=contact)
    edge.call_from_pbx()
    (invite,) = invites(edge.register(ALICE, contact=contact, origin=Origin("203.0.113.9", 50000)))
    assert invite.to == "sip:203.0.113.9:50000"


def test_w7_a_device_that_slept_through_its_invite_is_rung_again(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    assert len(invites(edge.call_from_pbx())) == 1
    assert invites(edge.register(ALICE)) == []
    monkeypatch.setattr(wake_rules, "SILENCE", 0.0)
    (invite,) = invites(edge.register(ALICE))
    assert invite.message.uri == ALICE.contact
    assert codes(edge.answer(invite, 200, "OK")) == [200]


def test_w4_a_device_that_said_100_is_not_rung_again(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    (invite,) = invites(edge.call_from_pbx())
    edge.answer(invite, 100, "Trying")
    monkeypatch.setattr(wake_rules, "SILENCE", 0.0)
    assert invites(edge.register(ALICE)) == []


def test_w4_nor_is_one_that_said_so_while_its_call_was_being_relayed(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)

    def in_another_worker() -> None:
        (invite,) = invites(edge.kamailio.sent)
        edge.answer(invite, 100, "Trying")

    edge.kamailio.meanwhile("t_relay", in_another_worker)
    edge.call_from_pbx()
    monkeypatch.setattr(wake_rules, "SILENCE", 0.0)
    assert invites(edge.register(ALICE)) == []
    cancel(edge)
    edge.kamailio.advance(4)
    assert not replies(edge.register(ALICE))[-1].has("Nightbell-Call")


def test_the_copy_of_a_binding_that_rings_anew_is_not_kept(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.call_from_pbx()
    monkeypatch.setattr(wake_rules, "SILENCE", 0.0)
    edge.register(ALICE)
    assert edge.kamailio.registrar.bindings(edge.node.device_uri(ALICE.id + "~")) == []
    assert len(edge.kamailio.registrar.bindings(edge.node.device_uri(ALICE.id))) == 1


def test_s2_several_bindings_of_one_device_are_its_own_not_the_next_devices(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET, push=False)
    edge.register(ALICE)
    edge.register(ALICE_TABLET)
    edge.kamailio.registrar.bind(edge.node.device_uri(ALICE.id), "sip:left@198.51.100.20:40001")
    edge.events()
    sent = invites(edge.call_from_pbx())
    rung = [e.device for e in edge.events_of(wire.CallEvent) if e.step == "invite-out"]
    assert rung == [ALICE.id, ALICE.id, ALICE_TABLET.id]
    edge.answer(sent[2], *RINGING)
    assert [e.device for e in edge.events_of(wire.CallEvent)] == [ALICE_TABLET.id]


def test_w10_a_device_that_declines_leaves_the_others_ringing(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET, push=False)
    edge.register(ALICE)
    edge.register(ALICE_TABLET)
    first, second = invites(edge.call_from_pbx())
    assert edge.answer(first, 486, "Busy Here") == []
    assert codes(edge.answer(second, 200, "OK")) == [200]


def test_a_busy_device_is_told_to_the_caller_when_nobody_else_is_left(edge: Edge) -> None:
    edge.with_person(ALICE, push=False)
    edge.register(ALICE)
    edge.events()
    (invite,) = invites(edge.call_from_pbx())
    assert codes(edge.answer(invite, 486, "Busy Here")) == [486]
    assert steps(edge) == ["invite-in", "invite-out", "device-refused", "failed"]


def test_w8_busy_beats_nobody_woke(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.register(ALICE)
    (invite,) = invites(edge.call_from_pbx())
    edge.answer(invite, 486, "Busy Here")
    assert codes(edge.kamailio.advance(21)) == [486]


def test_w7_a_dead_flow_does_not_fail_the_whole_call(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.register(ALICE)
    edge.call_from_pbx()
    assert edge.kamailio.advance(5) == []
    (invite,) = invites(edge.register(ALICE_TABLET))
    assert codes(edge.answer(invite, 200, "OK")) == [200]


def test_w7_a_dead_flow_alone_ends_as_480_not_500(edge: Edge) -> None:
    edge.with_person(ALICE, push=False)
    edge.register(ALICE)
    edge.call_from_pbx()
    (reply,) = replies(edge.kamailio.advance(4))
    assert reply.code == 480
    assert "No device answered" in reply.get("Reason")


def test_the_caller_gives_up_while_a_device_rings(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    (invite,) = invites(edge.call_from_pbx())
    edge.answer(invite, *RINGING)
    sent = cancel(edge, 'SIP;cause=200;text="Call completed elsewhere"')
    (cancelled,) = requests(sent, "CANCEL")
    assert cancelled.message.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert codes(edge.answer(invite, 487, "Request Terminated")) == [487]
    assert steps(edge)[-1] == "cancelled"
    assert edge.table("park") == {}


@pytest.mark.parametrize("others", [0, 1])
def test_a_device_that_goes_while_its_call_comes_in_is_passed_over(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Between the look at its binding and the fork the binding has run out."""
    devices = [ALICE, ALICE_TABLET][: 1 + others]
    edge.with_person(*devices, push=False)
    for device in devices:
        edge.register(device)
    registrar = edge.kamailio.registrar
    lookup = registrar.lookup_uri

    def run_out(table: str, uri: str) -> int:
        registrar.unregister(table, edge.node.device_uri(ALICE.id))
        return lookup(table, uri)

    monkeypatch.setattr(registrar, "lookup_uri", run_out)
    sent = edge.call_from_pbx()
    if others:
        assert [s.message.uri for s in invites(sent)] == [ALICE_TABLET.contact]
    else:
        (reply,) = [r for r in replies(sent) if r.code >= 200]
        assert (reply.code, "No device could be reached" in reply.get("Reason")) == (480, True)
        assert steps(edge)[-1] == "failed"


def test_a_device_that_cannot_be_rung_anew_still_registers(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.call_from_pbx()
    monkeypatch.setattr(wake_rules, "SILENCE", 0.0)
    monkeypatch.setattr(ksr, "save_copy", lambda _: False)
    sent = edge.register(ALICE)
    assert (codes(sent), invites(sent)) == ([200], [])


# --------------------------------------------------------------------------------------------------- nobody


def test_a_connection_without_devices_is_answered_at_once(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection())
    (_, reply) = replies(edge.call_from_pbx())
    assert reply.code == 480
    assert "Nobody has a device" in reply.get("Reason")
    assert steps(edge) == ["invite-in", "failed"]


@pytest.mark.parametrize("text", ["", "{", '{"v":1}', '{"v":9,"devices":[]}'])
def test_a_line_that_cannot_be_read_is_nobody(edge: Edge, text: str) -> None:
    edge.put("connection", CONNECTION, connection())
    edge.table("line")[ALICE_AOR] = text
    assert codes(edge.call_from_pbx()) == [100, 480]


def test_two_people_on_one_connection_all_ring(edge: Edge) -> None:
    edge.with_person(ALICE)
    bob = Device("bob-x9y8z7")
    edge.put("line", "sip:bob@nightbell.test", wire.LineDoc([wire.LineDevice(bob.id, True)], 30))
    edge.put("connection", CONNECTION, connection(aors=[ALICE_AOR, "sip:bob@nightbell.test"]))
    edge.call_from_pbx()
    (wake,) = wakes(edge)
    assert wake.asleep == [ALICE.id, bob.id]
    assert 29 < wake.deadline - wake.ts <= 30, "the longest wait of the two"


# ----------------------------------------------------------------------------------------------------- media


def test_each_branch_is_offered_media_of_its_own(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET, push=False)
    edge.register(ALICE)
    edge.register(ALICE_TABLET)
    _, second = invites(edge.call_from_pbx())
    edge.answer(second, 200, "OK", body=SDP)
    assert [(c[0], c[2]) for c in edge.kamailio.rtpengine.commands] == [
        ("offer", "b0"),
        ("offer", "b1"),
        ("answer", "b1"),
    ]


def test_the_park_branch_has_no_media(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    assert edge.kamailio.rtpengine.commands == []


def test_a_direct_connection_leaves_media_alone(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.put("connection", CONNECTION, connection(media="direct"))
    edge.call_from_pbx()
    (invite,) = invites(edge.register(ALICE))
    edge.answer(invite, 200, "OK", body=SDP)
    assert edge.kamailio.rtpengine.commands == []
    assert ".d." in invite.message.get("Record-Route")


def test_an_invite_without_a_body_is_offered_by_the_device(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx(body="")
    (invite,) = invites(edge.register(ALICE))
    edge.answer(invite, 200, "OK", body=SDP)
    assert [c[0] for c in edge.kamailio.rtpengine.commands] == ["offer"]


# ----------------------------------------------------------------------------------------------------- trust


def test_the_device_never_sees_our_own_headers_forged_by_the_pbx(edge: Edge) -> None:
    edge.with_person(ALICE, push=False)
    edge.register(ALICE)
    (invite,) = invites(edge.call_from_pbx("x-nightbell-WAKE: {}", "X-Nightbell-Other: 1", "X-Queue: sales"))
    assert not invite.message.has("X-Nightbell-Wake")
    assert not invite.message.has("X-Nightbell-Other")
    assert invite.message.get("X-Queue") == "sales"


def test_a_huge_callers_name_is_cut_and_the_device_woken_all_the_same(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx(from_=f'"{"é" * 12_000}" <sip:{"1" * 12_000}@192.0.2.7>;tag=1')
    (wake,) = wakes(edge)
    assert wake.caller_name == "é" * 128
    assert wake.caller == "1" * 128


def test_a_callers_name_cannot_add_a_header(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx(from_='"a\\r\\nX-Evil: 1\\u2028" <sip:1001@192.0.2.7>;tag=1')
    park = next(t.request for t in edge.kamailio.transactions.all.values() if "park@" in t.request.uri)
    assert not park.has("X-Evil")
    assert len(wakes(edge)) == 1


def test_w5_what_the_pbx_learns_of_a_device_has_no_push_parameters(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    (invite,) = invites(edge.register(ALICE))
    contact = f"Contact: <{ALICE.contact};pn-provider=apns;pn-prid=SECRET;transport=udp>"
    (reply,) = replies(edge.answer(invite, 200, "OK", contact))
    assert "SECRET" not in reply.get("Contact")
    assert reply.get("Contact").startswith(f"<{ALICE.contact};transport=udp")


# ------------------------------------------------------------------------------------------- the park socket


def test_only_invites_cancels_and_acks_are_taken_at_the_park_socket(edge: Edge) -> None:
    for method in ("REGISTER", "OPTIONS", "BYE", "SUBSCRIBE"):
        text = edge.request(method, "sip:park@127.0.0.1:5099")
        assert codes(edge.kamailio.receive(text, OURSELVES)) == [405]


def test_a_wake_that_is_over_before_it_begins_is_not_held(edge: Edge) -> None:
    edge.with_person(ALICE, wait=0.0)
    assert codes(edge.call_from_pbx())[-1] == 480
    assert edge.table("parked") == {}


@pytest.mark.parametrize(
    "header",
    [
        "X-No: order",
        "X-Nightbell-Wake: ",
        "X-Nightbell-Wake: 7",
        "X-Nightbell-Wake: [",
        'X-Nightbell-Wake: {"call":1,"deadline":"x","connection":1,"aor":1}',
    ],
)
def test_an_invite_at_the_park_socket_that_is_not_of_our_making_is_refused(edge: Edge, header: str) -> None:
    edge.events()
    text = edge.request("INVITE", "sip:park@127.0.0.1:5099", header)
    assert codes(edge.kamailio.receive(text, OURSELVES)) == [400]
    assert edge.table("parked") == {}
    assert edge.events() == []
    assert edge.kamailio.errors == []


@pytest.mark.parametrize("stranger", [("127.0.0.1", 40404), ("127.0.7.13", 5060)])
def test_s8_an_invite_at_the_park_socket_that_another_program_sent_is_refused(
    edge: Edge, stranger: tuple[str, int]
) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    order = next(iter(edge.table("parked").values()))
    edge.events()
    text = edge.request("INVITE", "sip:park@127.0.0.1:5099", f"X-Nightbell-Wake: {order}")
    assert codes(edge.kamailio.receive(text, Origin(*stranger, "udp", 5099))) == [403]
    assert len(edge.table("parked")) == 1
    assert edge.events_of(wire.WakeEvent) == []


def at_the_park_socket(edge: Edge, method: str, **parts: str) -> list[Sent]:
    """A message from our own socket."""
    ourselves = Origin("127.0.0.1", 5060, "udp", 5099)
    return edge.kamailio.receive(edge.request(method, "sip:park@127.0.0.1:5099", **parts), ourselves)


def test_w4_a_retransmission_at_the_park_socket_is_the_same_wake(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    (wake,) = wakes(edge)
    held = edge.kamailio.transactions.all[wake.transaction].request
    edge.kamailio.receive(held.encode(), Origin("127.0.0.1", 5060, "udp", 5099))
    assert edge.events() == []
    assert list(edge.table("parked")) == [wake.id]


def test_a_cancel_or_ack_of_no_held_call_changes_nothing(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    held = dict(edge.table("parked"))
    edge.events()
    for method in ("CANCEL", "ACK"):
        assert at_the_park_socket(edge, method) == []
    assert edge.table("parked") == held
    assert edge.events() == []
