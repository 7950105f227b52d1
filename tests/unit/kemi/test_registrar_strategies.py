"""Registered only while a device is awake, or as the only contact of an account; and the way a PBX wants calls to take."""

from __future__ import annotations

import pytest

from kemi import wire
from tests.fakes.edge import (
    ALICE,
    ALICE_AOR,
    ALICE_TABLET,
    CONNECTION,
    DOMAIN,
    PHONE,
    SDP,
    Device,
    Edge,
    connection,
    requests,
)
from tests.fakes.kamailio import Sent
from tests.unit.kemi.pbx import CHALLENGE, NOW, TICK, Pbx

OURS = f"<sip:{CONNECTION}@127.0.7.1:5060>"
DESK = "<sip:desk@192.0.2.99:5060>"


def contacts(sent: Sent) -> list[str]:
    return sent.message.all("Contact")


# ----------------------------------------------------------------------------------------------------- while-awake


@pytest.fixture
def resting(edge: Edge) -> Pbx:
    """A connection that is registered only while one of Alice's two devices is awake; neither is."""
    edge.with_person(ALICE, ALICE_TABLET)
    for device in (ALICE, ALICE_TABLET):
        edge.put("device", device.id, wire.DeviceDoc(ALICE_AOR, device.ha1, CONNECTION, [CONNECTION]))
    edge.put("connection", CONNECTION, connection(strategy="while-awake"))
    return Pbx(edge)


def awake(pbx: Pbx, device: Device = ALICE) -> list[Sent]:
    """A device registers; what the registrar sends at its next tick."""
    pbx.edge.register(device)
    return pbx.tick(TICK)


def asleep(pbx: Pbx, device: Device = ALICE) -> list[Sent]:
    pbx.edge.register(device, expires=0)
    return pbx.tick(TICK)


def test_while_all_devices_sleep_nothing_is_sent(resting: Pbx) -> None:
    assert resting.tick() == []
    assert resting.tick(100_000) == []


def test_that_it_rests_is_told_once(edge: Edge, resting: Pbx) -> None:
    assert [(e.state, e.code, e.due) for e in resting.upstream()] == [("resting", 0, 0.0)]
    edge.table("changes")[CONNECTION] = "1"
    resting.tick(1)
    assert resting.upstream() == []


def test_the_first_device_that_wakes_has_it_registered_at_once(resting: Pbx) -> None:
    (sent,) = awake(resting)
    assert sent.message.get("Expires") == "600"
    resting.accept(sent)
    assert resting.states()[-1] == ("registered", "")


def test_a_second_device_that_wakes_changes_nothing(resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent)
    assert awake(resting, ALICE_TABLET) == []
    assert asleep(resting, ALICE_TABLET) == []


def test_a_refresh_of_a_device_is_no_waking(resting: Pbx) -> None:
    awake(resting)
    assert awake(resting) == []
    assert resting.edge.table("changes") == {}


def test_it_is_refreshed_as_any_other_while_a_device_is_awake(resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent)
    (refresh,) = resting.tick(598)
    assert refresh.message.get("Expires") == "600"


def test_when_the_last_device_sleeps_it_signs_off_and_rests(resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent)
    awake(resting, ALICE_TABLET)
    assert asleep(resting) == []
    (farewell,) = asleep(resting, ALICE_TABLET)
    assert (farewell.message.get("Expires"), contacts(farewell)) == ("0", [OURS])
    assert resting.answer(farewell, 200) == []
    assert resting.states()[-1] == ("resting", "")
    assert resting.tick(100_000) == []


def test_a_device_whose_binding_runs_out_sleeps(resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent, 7200)
    resting.edge.kamailio.advance(599)
    assert resting.tick(TICK) == []
    resting.edge.kamailio.advance(2)
    (farewell,) = resting.tick(TICK)
    assert farewell.message.get("Expires") == "0"


def test_a_device_whose_connection_is_lost_sleeps(resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent)
    resting.edge.kamailio.registrar.lose(f"sip:{PHONE.address}:{PHONE.port}")
    resting.edge.kamailio.advance(1)
    (farewell,) = resting.tick(TICK)
    assert farewell.message.get("Expires") == "0"


def test_it_comes_back_as_often_as_a_device_wakes(resting: Pbx) -> None:
    for _ in range(3):
        (sent,) = awake(resting)
        assert sent.message.get("Expires") == "600"
        resting.accept(sent)
        (farewell,) = asleep(resting)
        resting.answer(farewell, 200)
    assert [state for state, _ in resting.states()] == ["resting", *["registered", "resting"] * 3]


def test_a_device_that_wakes_while_it_signs_off_has_it_registered_right_after(resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent)
    (farewell,) = asleep(resting)
    assert awake(resting) == []
    (again,) = resting.answer(farewell, 200)
    assert again.message.get("Expires") == "600"
    resting.accept(again)
    assert resting.states()[-1] == ("registered", "")


def test_a_device_that_sleeps_again_while_it_registers_has_it_signed_off_right_after(resting: Pbx) -> None:
    (sent,) = awake(resting)
    assert asleep(resting) == []
    (farewell,) = resting.accept(sent)
    assert farewell.message.get("Expires") == "0"
    resting.answer(farewell, 200)
    assert resting.states()[-1] == ("resting", "")


def test_a_device_of_nobody_it_rings_wakes_nothing(resting: Pbx) -> None:
    bob = Device("bob-x9y8z7")
    resting.edge.put("device", bob.id, wire.DeviceDoc(f"sip:bob@{DOMAIN}", bob.ha1))
    assert awake(resting, bob) == []


def test_r6_it_is_signed_off_when_it_is_removed_while_a_device_is_awake(resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent)
    resting.change(None)
    (farewell,) = resting.tick(TICK)
    assert farewell.message.get("Expires") == "0"
    resting.answer(farewell, 200)
    assert resting.states()[-1] == ("unregistered", "")


def test_it_is_registered_when_it_is_to_be_so_always_from_now_on(resting: Pbx) -> None:
    resting.tick()
    resting.change(connection(revision="2"))
    (sent,) = resting.tick(TICK)
    assert sent.message.get("Expires") == "600"


def test_r1_a_restart_while_a_device_is_awake_keeps_the_registration(edge: Edge, resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent)
    edge.kept[CONNECTION] = resting.upstream()[-1].durable
    reborn = Pbx(edge, NOW + 30)
    assert reborn.tick() == []
    assert len(reborn.tick(560)) == 1


def test_a_restart_after_the_last_device_has_gone_signs_off(edge: Edge, resting: Pbx) -> None:
    (sent,) = awake(resting)
    resting.accept(sent)
    edge.kept[CONNECTION] = resting.upstream()[-1].durable
    edge.register(ALICE, expires=0)
    (farewell,) = Pbx(edge, NOW + 30).tick()
    assert farewell.message.get("Expires") == "0"


# -------------------------------------------------------------------------------------------------- single-contact


@pytest.fixture
def single(edge: Edge) -> Pbx:
    """A connection at a PBX that keeps one contact an account, and has one already."""
    edge.put("connection", CONNECTION, connection(strategy="single-contact"))
    return Pbx(edge)


def take_over(pbx: Pbx, *there: str) -> Sent:
    """The PBX has no room; it lists ``there``, and gives it up. Our own REGISTER that follows."""
    (first,) = pbx.tick()
    (query,) = pbx.answer(first, 403)
    assert contacts(query) == []
    assert not query.message.has("Expires")
    (eviction,) = pbx.answer(query, 200, *(f"Contact: {contact}" for contact in there))
    assert (contacts(eviction), eviction.message.get("Expires")) == (["*"], "0")
    (ours,) = pbx.answer(eviction, 200)
    assert contacts(ours) == [OURS]
    return ours


def test_the_contact_in_the_way_is_removed_and_its_place_taken(single: Pbx) -> None:
    ours = take_over(single, f"{DESK};expires=300")
    assert single.accept(ours) == []
    assert single.states() == [("registered", "")]


def test_all_contacts_in_the_way_are_removed_with_one_register(single: Pbx) -> None:
    query = single.answer(single.tick()[0], 403)[0]
    there = f'"Desk, upstairs" {DESK};expires=300, <sip:mobile@192.0.2.98;ob>;q=1;expires=20'
    (eviction,) = single.answer(query, 200, f"Contact: {there}")
    assert contacts(eviction) == ["*"]


def test_a_200_that_leaves_ours_out_is_a_full_pbx_too(single: Pbx) -> None:
    (first,) = single.tick()
    (query,) = single.answer(first, 200, f"Contact: {DESK};expires=300")
    assert contacts(query) == []


def test_when_nothing_is_in_the_way_after_all_it_is_simply_tried_again(single: Pbx) -> None:
    (first,) = single.tick()
    (query,) = single.answer(first, 403)
    (ours,) = single.answer(query, 200)
    assert contacts(ours) == [OURS]


def test_a_challenge_at_any_step_is_answered_with_the_same_step(single: Pbx) -> None:
    (first,) = single.tick()
    (query,) = single.answer(first, 403)
    (query,) = single.answer(query, 401, CHALLENGE)
    assert (contacts(query), query.message.has("Authorization")) == ([], True)
    (eviction,) = single.answer(query, 200, f"Contact: {DESK};expires=300")
    (eviction,) = single.answer(eviction, 401, CHALLENGE.replace("n1", "n2"))
    assert contacts(eviction) == ["*"]


def test_a_pbx_that_stays_full_is_refused_as_such_and_not_fought_with(single: Pbx) -> None:
    ours = take_over(single, f"{DESK};expires=300")
    assert single.answer(ours, 403) == []
    assert single.states() == [("refused", "contacts-full")]
    assert single.tick(59) == []


def test_two_that_take_over_from_each_other_do_it_once_a_minute_at_most(single: Pbx) -> None:
    """The other one is back at once, and we are told so by each refresh."""
    single.accept(take_over(single, f"{DESK};expires=300"), 60)
    began = single.now
    takeovers = 0
    while single.now < began + 600:
        for sent in single.tick(0.5):
            takeovers += not contacts(sent)
            there = DESK if contacts(sent) else f"{DESK};expires=300"
            for later in single.answer(sent, 200, f"Contact: {there}"):
                takeovers += not contacts(later)
    assert 2 <= takeovers <= 11


def test_a_plain_connection_takes_nobodys_place(pbx: Pbx) -> None:
    (first,) = pbx.tick()
    assert pbx.answer(first, 403) == []
    assert pbx.states() == [("refused", "forbidden")]


def test_what_was_there_is_given_back_when_the_connection_is_removed(single: Pbx) -> None:
    others = f"{DESK};expires=3000, <sip:gone@192.0.2.98>;expires=40"
    single.accept(take_over(single, others))
    single.tick(20)
    single.change(None)
    (farewell,) = single.tick(TICK)
    assert (contacts(farewell), farewell.message.get("Expires")) == ([OURS], "0")
    (restored,) = single.answer(farewell, 200)
    (contact,) = contacts(restored)
    given, _, seconds = contact.partition(";expires=")
    assert given == DESK
    assert 2970 <= int(seconds) <= 2980
    assert single.answer(restored, 200) == []
    assert single.states()[-1] == ("unregistered", "")


def test_what_has_ended_meanwhile_is_not_given_back(single: Pbx) -> None:
    single.accept(take_over(single, f"{DESK};expires=300"), 7200)
    single.tick(280)
    single.change(None)
    (farewell,) = single.tick(TICK)
    assert single.answer(farewell, 200) == []
    assert single.states()[-1] == ("unregistered", "")


def test_a_pbx_that_does_not_take_it_back_ends_the_account_all_the_same(single: Pbx) -> None:
    single.accept(take_over(single, f"{DESK};expires=300"))
    single.change(None)
    (farewell,) = single.tick(TICK)
    (restored,) = single.answer(farewell, 200)
    assert single.answer(restored, 403) == []
    assert single.states()[-1][0] == "unregistered"
    assert single.tick(10_000) == []


def test_our_own_contact_in_the_list_is_not_in_the_way(single: Pbx) -> None:
    (first,) = single.tick()
    (query,) = single.answer(first, 403)
    (ours,) = single.answer(query, 200, f"Contact: {OURS};expires=30")
    assert contacts(ours) == [OURS]


# --------------------------------------------------------------------------------------------------- Service-Route

ROUTES = "<sip:edge1.pbx.example;lr>, <sip:edge2.pbx.example;lr>"


def dialled(edge: Edge) -> list[str]:
    """The Route headers of a call out."""
    sent = edge.as_device("INVITE", ALICE, f"sip:600@{DOMAIN}", f"Contact: <{ALICE.contact}>", body=SDP)
    (invite,) = requests(sent, "INVITE")
    return invite.message.all("Route")


@pytest.fixture
def routed(edge: Edge) -> Pbx:
    """A connection of Alice's that has just been registered, and told by which way calls go."""
    edge.with_person(ALICE)
    pbx = Pbx(edge)
    pbx.accept(pbx.tick()[0], 600, f"Service-Route: {ROUTES}")
    return pbx


def test_a_call_out_takes_the_way_its_pbx_asked_for(routed: Pbx) -> None:
    assert dialled(routed.edge) == [ROUTES]


def test_the_way_asked_for_in_several_headers_is_one(edge: Edge) -> None:
    edge.with_person(ALICE)
    pbx = Pbx(edge)
    first, _, second = ROUTES.partition(", ")
    pbx.accept(pbx.tick()[0], 600, f"Service-Route: {first}", f"Service-Route: {second}")
    assert [r.replace(" ", "") for r in dialled(edge)] == [ROUTES.replace(" ", "")]


def test_a_pbx_that_asks_for_no_way_is_called_straight(pbx: Pbx) -> None:
    pbx.edge.with_person(ALICE)
    pbx.accept(pbx.tick()[0])
    assert dialled(pbx.edge) == []


@pytest.mark.parametrize("fresh", ["<sip:edge3.pbx.example;lr>", ""])
def test_another_way_is_taken_from_the_refresh_that_names_it(routed: Pbx, fresh: str) -> None:
    routed.upstream()
    routed.accept(routed.tick(598)[0], 600, *([f"Service-Route: {fresh}"] if fresh else []))
    assert dialled(routed.edge) == ([fresh] if fresh else [])
    (told,) = routed.upstream()
    assert wire.UpstreamDoc.decode(told.durable).service_route == fresh


def test_a_refresh_that_fails_changes_no_way(routed: Pbx) -> None:
    routed.answer(routed.tick(598)[0], 503)
    assert dialled(routed.edge) == [ROUTES]


def test_the_way_is_known_after_a_restart(routed: Pbx) -> None:
    routed.edge.kept[CONNECTION] = routed.upstream()[-1].durable
    routed.edge.table("service_route").clear()
    Pbx(routed.edge, NOW + 30)
    assert dialled(routed.edge) == [ROUTES]


def test_the_way_is_forgotten_with_the_connection(routed: Pbx) -> None:
    routed.change(None)
    (farewell,) = routed.tick(TICK)
    routed.answer(farewell, 200)
    assert routed.edge.table("service_route") == {}
