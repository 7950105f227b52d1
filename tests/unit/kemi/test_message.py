"""A MESSAGE: to those who are awake at once, to those who sleep when they wake, and out in the connection's name."""

from __future__ import annotations

import pytest

from kemi import letters, message, wake_rules, wire
from tests.fakes.edge import (
    ALICE,
    ALICE_TABLET,
    CONNECTION,
    DOMAIN,
    PBX,
    PHONE,
    Edge,
    codes,
    replies,
    requests,
)
from tests.fakes.kamailio import Sent
from tests.fakes.kamailio.context import Origin
from tests.fakes.kamailio.modules import digest_values

CHALLENGE = 'Digest realm="asterisk", nonce="n1", algorithm=MD5, qop="auth"'
OTHER_FLOW = Origin("198.51.100.99", 41000)
OURSELVES = Origin("127.0.7.1", 5060, "udp", 5099)


def text_from_pbx(edge: Edge, *headers: str, body: str = "Hello") -> list[Sent]:
    raw = edge.request("MESSAGE", f"sip:{CONNECTION}@127.0.7.1:5060", *headers, body=body)
    return edge.kamailio.receive(raw, PBX)


def texts(sent: list[Sent]) -> list[Sent]:
    return requests(sent, "MESSAGE")


def steps(edge: Edge) -> list[tuple[str, str]]:
    return [(event.step, event.device) for event in edge.events_of(wire.CallEvent)]


def test_a_message_goes_to_each_device_that_is_awake_and_their_first_answer_back(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET)
    edge.register(ALICE)
    edge.register(ALICE_TABLET, contact="<sip:tablet@198.51.100.20:40001>")
    edge.events()
    first, second = texts(text_from_pbx(edge))
    assert first.message.body == "Hello"
    assert codes(edge.answer(first, 200, "OK")) == [200]
    assert codes(edge.answer(second, 200, "OK")) == []
    told = steps(edge)
    assert told[0] == ("message-in", "")
    assert sorted(told[1:]) == sorted(
        (step, device.id) for step in ("message-out", "delivered") for device in (ALICE, ALICE_TABLET)
    )


def test_without_the_persons_choice_a_message_to_sleepers_is_refused_at_once(edge: Edge) -> None:
    edge.with_person(ALICE)
    (refused,) = replies(text_from_pbx(edge))
    assert refused.code == 480
    assert refused.get("Reason") == 'SIP;cause=480;text="No device is awake"'
    assert edge.table("parked") == {}


def test_a_message_is_held_for_each_sleeper_and_told_and_goes_out_when_it_registers(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET, messages=True)
    assert text_from_pbx(edge) == []
    wakes = edge.events_of(wire.WakeEvent)
    assert [(w.asleep, w.purpose, w.early_ringing) for w in wakes] == [
        ([ALICE.id], "message", False),
        ([ALICE_TABLET.id], "message", False),
    ]
    (out,) = texts(edge.register(ALICE))
    assert out.message.uri == ALICE.contact
    assert not out.message.has("X-Nightbell-Wake")
    assert len(edge.table("parked")) == 1, "the other copy waits"
    assert codes(edge.answer(out, 200, "OK")) == [200]
    assert ("delivered", ALICE.id) in steps(edge)
    (late,) = texts(edge.register(ALICE_TABLET, contact="<sip:tablet@198.51.100.20:40001>"))
    assert codes(edge.answer(late, 200, "OK")) == [], "the sender has been told already"
    assert edge.table("parked") == {}
    assert texts(edge.register(ALICE)) == [], "nobody gets it twice"


def test_one_who_is_awake_gets_it_at_once_and_the_sleeper_when_it_registers(edge: Edge) -> None:
    edge.with_person(ALICE, ALICE_TABLET, messages=True)
    edge.register(ALICE)
    (now,) = texts(text_from_pbx(edge))
    assert codes(edge.answer(now, 200, "OK")) == [200]
    (late,) = texts(edge.register(ALICE_TABLET, contact="<sip:tablet@198.51.100.20:40001>"))
    assert late.message.body == "Hello"


def test_w7_one_that_may_sleep_behind_its_binding_gets_it_at_once_and_is_held_for_as_well(edge: Edge) -> None:
    edge.with_person(ALICE, messages=True)
    edge.register(ALICE)
    edge.events()
    (now,) = texts(text_from_pbx(edge))
    (wake,) = edge.events_of(wire.WakeEvent)
    assert (wake.asleep, wake.ringing, wake.purpose) == ([], [ALICE.id], "message")
    assert codes(edge.answer(now, 200, "OK")) == [200]
    (ended,) = edge.events_of(wire.WakeEndEvent)
    assert ended.outcome == "answered"
    assert edge.table("letters") == edge.table("parked") == {}
    assert texts(edge.register(ALICE, origin=OTHER_FLOW)) == [], "nobody gets it twice"


def test_w7_one_that_refuses_it_by_its_binding_is_waited_for_no_longer(edge: Edge) -> None:
    edge.with_person(ALICE, messages=True)
    edge.register(ALICE)
    (now,) = texts(text_from_pbx(edge))
    assert codes(edge.answer(now, 415, "Unsupported Media Type")) == [415]
    assert edge.table("letters") == edge.table("parked") == {}


def test_w7_one_that_was_silent_and_comes_back_by_another_flow_gets_it_there(edge: Edge) -> None:
    edge.with_person(ALICE, messages=True)
    edge.register(ALICE)
    (lost,) = texts(text_from_pbx(edge))
    assert edge.kamailio.run_timer("ksr_rtimer_letters") == [], "not by the binding that is being tried"
    (again,) = texts(edge.register(ALICE, origin=OTHER_FLOW))
    assert (again.to, again.message.body) == (
        f"sip:{OTHER_FLOW.address}:{OTHER_FLOW.port}",
        lost.message.body,
    )
    assert codes(edge.answer(again, 200, "OK", origin=OTHER_FLOW)) == [200]


def test_w4_one_that_registers_again_by_the_flow_where_it_is_being_tried_gets_it_once(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_rules, "SILENCE", 0.0)  # as if it had said nothing for that long
    edge.with_person(ALICE, messages=True)
    edge.register(ALICE)
    (now,) = texts(text_from_pbx(edge))
    assert texts(edge.register(ALICE)) == []
    assert codes(edge.answer(now, 200, "OK")) == [200]
    assert edge.table("letters") == {}


def test_w2_an_answer_that_overtakes_the_copy_at_the_park_socket_dismisses_it_all_the_same(
    edge: Edge,
) -> None:
    edge.with_person(ALICE, messages=True)
    edge.register(ALICE)
    text_from_pbx(edge)
    (entry,) = wake_rules.read_entries(edge.table("letters")[ALICE.id])
    copy = edge.table("letters").pop(ALICE.id)
    letters.dismiss(ALICE.id, entry.call)
    edge.table("letters")[ALICE.id] = copy
    edge.events()
    edge.kamailio.run_timer("ksr_rtimer_letters")
    assert [e.outcome for e in edge.events_of(wire.WakeEndEvent)] == ["answered"]
    assert edge.table("letters") == {}


def test_w2_a_device_that_registers_while_its_copy_is_put_aside_is_found_by_the_timer(edge: Edge) -> None:
    edge.with_person(ALICE, messages=True)
    text_from_pbx(edge)
    edge.kamailio.registrar.bind(edge.node.device_uri(ALICE.id), ALICE.contact)
    (out,) = texts(edge.kamailio.run_timer("ksr_rtimer_letters"))
    assert codes(edge.answer(out, 200, "OK")) == [200]
    assert edge.kamailio.run_timer("ksr_rtimer_letters") == []


def test_a_message_nobody_woke_for_is_refused_before_its_sender_gives_up(edge: Edge) -> None:
    edge.with_person(ALICE, messages=True, wait=60)
    text_from_pbx(edge)
    assert edge.kamailio.advance(24) == []
    (refused,) = replies(edge.kamailio.advance(2))
    assert refused.code == 480
    assert refused.get("Reason") == 'SIP;cause=480;text="No device took the message in time"'
    assert [e.outcome for e in edge.events_of(wire.WakeEndEvent)] == ["deadline"]
    assert edge.table("letters") == {}
    assert texts(edge.register(ALICE)) == []


def test_when_the_edge_agent_gives_up_the_sender_learns_why_at_once(edge: Edge) -> None:
    edge.with_person(ALICE, messages=True)
    text_from_pbx(edge)
    (wake,) = edge.events_of(wire.WakeEvent)
    (refused,) = replies(edge.kamailio.order(wake.transaction, 599, "No push token"))
    assert (refused.code, refused.get("Reason")) == (480, 'SIP;cause=480;text="No push token"')
    (ended,) = edge.events_of(wire.WakeEndEvent)
    assert (ended.outcome, ended.reason) == ("given-up", "No push token")


def test_a_copy_that_its_device_refuses_is_told(edge: Edge) -> None:
    edge.with_person(ALICE, messages=True)
    text_from_pbx(edge)
    (out,) = texts(edge.register(ALICE))
    assert codes(edge.answer(out, 415, "Unsupported Media Type")) == [415]
    told = edge.events_of(wire.CallEvent)
    assert [(e.step, e.code) for e in told][-2:] == [("device-refused", 415), ("failed", 415)]


def test_a_message_leaves_in_the_connections_name_and_its_challenge_is_answered(edge: Edge) -> None:
    edge.with_person(ALICE)
    (out,) = texts(edge.as_device("MESSAGE", ALICE, f"sip:1001@{DOMAIN}", "X-Claim: me", body="Yes"))
    assert out.to == "sip:192.0.2.7:5060;transport=udp"
    assert out.message.uri == "sip:1001@pbx.example"
    assert "<sip:1002@pbx.example>" in out.message.get("From")
    assert not out.message.has("X-Claim")
    assert not out.message.has("Proxy-Authorization")
    (again,) = texts(edge.answer(out, 401, "Unauthorized", f"WWW-Authenticate: {CHALLENGE}", origin=PBX))
    assert digest_values(again.message.get("Authorization"))["username"] == "1002"
    assert codes(edge.answer(again, 202, "Accepted", origin=PBX)) == [202]
    assert [step for step, _ in steps(edge)] == ["message-in", "message-out", "challenged", "delivered"]


def test_a_connection_that_the_pbx_refuses_is_not_the_devices_password(edge: Edge) -> None:
    edge.with_person(ALICE)
    (out,) = texts(edge.as_device("MESSAGE", ALICE, f"sip:1001@{DOMAIN}", body="Yes"))
    (again,) = texts(edge.answer(out, 401, "Unauthorized", f"WWW-Authenticate: {CHALLENGE}", origin=PBX))
    assert codes(edge.answer(again, 401, "Unauthorized", f"WWW-Authenticate: {CHALLENGE}", origin=PBX)) == [
        403
    ]


def test_a_strangers_message_is_challenged_and_a_too_long_one_refused(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    assert codes(edge.kamailio.receive(edge.request("MESSAGE", f"sip:1001@{DOMAIN}"), PHONE)) == [407]
    long = "x" * (message.MOST_BYTES + 1)
    assert codes(text_from_pbx(edge, body=long)) == [413]
    assert codes(edge.as_device("MESSAGE", ALICE, f"sip:1001@{DOMAIN}", body=long)) == [413]


def test_w13_a_device_that_floods_is_told_to_wait(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.table("sent")[ALICE.id] = str(message.MOST_A_MINUTE)
    (refused,) = replies(edge.as_device("MESSAGE", ALICE, f"sip:1001@{DOMAIN}", body="Yes"))
    assert (refused.code, refused.get("Retry-After")) == (403, "60")


@pytest.mark.parametrize("number", ["%0d%0aX", "a b", "<x>"])
def test_a_number_that_no_pbx_understands_is_refused(edge: Edge, number: str) -> None:
    edge.with_person(ALICE)
    sent = edge.as_device("MESSAGE", ALICE, f"sip:{number}@{DOMAIN}", body="Yes")
    assert texts(sent) == []


def test_only_a_copy_of_our_own_making_is_held_at_the_park_socket(edge: Edge) -> None:
    raw = edge.request("MESSAGE", "sip:alice@127.0.0.1:5099")
    assert codes(edge.kamailio.receive(raw, OURSELVES)) == [405]
    raw = edge.request("MESSAGE", "sip:alice@127.0.0.1:5099", 'X-Nightbell-Letter: {"flow":"","target":""}')
    assert codes(edge.kamailio.receive(raw, OURSELVES)) == [400]
    assert codes(edge.kamailio.receive(raw, Origin("198.51.100.1", 5060, "udp", 5099))) == [403]
