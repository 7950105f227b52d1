"""Trunks: a PBX without a registration, known by its address, whose numbers ring people."""

from __future__ import annotations

import pytest

from kemi import wire
from tests.fakes.edge import ALICE, ALICE_AOR, DOMAIN, PBX, SDP, Device, Edge, codes, connection, requests
from tests.fakes.kamailio import Sent
from tests.fakes.kamailio.context import Origin

TRUNK, NUMBER = "ctrunk", "+4930123456"
BOB, BOB_AOR = Device("bob-x9y8z7"), f"sip:bob@{DOMAIN}"


def trunk(**changes: object) -> wire.ConnectionDoc:
    return connection(**({"strategy": "trunk", "register": False, "aors": [], "sources": []} | changes))


@pytest.fixture
def people(edge: Edge) -> Edge:
    """Alice and Bob, each with a sleeping phone, and a trunk whose PBX calls from 192.0.2.7."""
    edge.with_person(ALICE)
    edge.put("device", BOB.id, wire.DeviceDoc(BOB_AOR, BOB.ha1, TRUNK))
    edge.put("line", BOB_AOR, wire.LineDoc([wire.LineDevice(BOB.id, True)]))
    edge.put("connection", TRUNK, trunk())
    edge.table("trunk")[PBX.address] = TRUNK
    edge.put("number", f"{TRUNK}/{NUMBER}", wire.NumberDoc([BOB_AOR]))
    return edge


def call(edge: Edge, number: str, origin: Origin = PBX) -> list[Sent]:
    """The trunk's PBX calls a number."""
    return edge.kamailio.receive(edge.request("INVITE", f"sip:{number}@127.0.7.1:5060", body=SDP), origin)


def woken(edge: Edge) -> list[tuple[str, list[str]]]:
    """Which devices are woken, and over which connection the call came."""
    return [(wake.connection, wake.asleep) for wake in edge.events_of(wire.WakeEvent)]


def test_a_number_of_a_trunk_rings_the_person_it_belongs_to(people: Edge) -> None:
    assert codes(call(people, NUMBER)) == [100]
    assert woken(people) == [(TRUNK, [BOB.id])]


def test_a_number_may_ring_several_people(people: Edge) -> None:
    people.put("number", f"{TRUNK}/{NUMBER}", wire.NumberDoc([BOB_AOR, ALICE_AOR]))
    call(people, NUMBER)
    assert woken(people) == [(TRUNK, [BOB.id, ALICE.id])]


def test_a_number_that_nobody_has_rings_whom_the_trunk_itself_rings(people: Edge) -> None:
    people.put("connection", TRUNK, trunk(aors=[ALICE_AOR]))
    call(people, "+4930999")
    assert woken(people) == [(TRUNK, [ALICE.id])]


def test_a_number_that_nobody_has_and_nobody_takes_is_a_strangers_call(people: Edge) -> None:
    assert codes(call(people, "+4930999")) == [407]
    assert woken(people) == []


def test_a_number_is_not_another_one_written_alike(people: Edge) -> None:
    for number in ("4930123456", NUMBER + "7", NUMBER[:-1], f"{NUMBER}/", f"{TRUNK}/{NUMBER}"):
        assert codes(call(people, number)) == [407], number


def test_s8_a_trunks_numbers_ring_only_for_calls_from_its_own_address(people: Edge) -> None:
    for address in ("192.0.2.8", "192.0.2.70", "127.0.0.1"):
        assert codes(call(people, NUMBER, Origin(address))) == [407]
    assert woken(people) == []


def test_s8_a_trunk_that_was_removed_takes_no_calls(people: Edge) -> None:
    del people.table("connection")[TRUNK]
    assert codes(call(people, NUMBER)) == [407]


def test_two_trunks_from_one_address_are_told_apart_by_the_number(people: Edge) -> None:
    people.table("trunk")[PBX.address] = f"cgone cother {TRUNK}"
    people.put("connection", "cother", trunk())
    people.put("number", "cother/+4940", wire.NumberDoc([ALICE_AOR]))
    call(people, "+4940")
    call(people, NUMBER)
    assert woken(people) == [("cother", [ALICE.id]), (TRUNK, [BOB.id])]


def test_a_number_goes_before_what_another_trunk_from_the_same_address_rings(people: Edge) -> None:
    people.table("trunk")[PBX.address] = f"cother {TRUNK}"
    people.put("connection", "cother", trunk(aors=[ALICE_AOR]))
    call(people, NUMBER)
    call(people, "+4930999")
    assert woken(people) == [(TRUNK, [BOB.id]), ("cother", [ALICE.id])]


def test_a_connections_own_contact_goes_before_the_trunks_of_that_address(people: Edge) -> None:
    people.put("connection", TRUNK, trunk(aors=[BOB_AOR]))
    people.call_from_pbx()
    assert [asleep for _, asleep in woken(people)] == [[ALICE.id]]


def test_r5_a_trunks_qualify_and_its_news_are_answered(people: Edge) -> None:
    people.put("connection", TRUNK, trunk(aors=[BOB_AOR]))
    for method in ("OPTIONS", "NOTIFY"):
        assert codes(people.kamailio.receive(people.request(method, "sip:127.0.7.1:5060"), PBX)) == [200]


@pytest.mark.parametrize("text", ["{", '{"v":1}', '{"v":2,"aors":[]}'])
def test_a_number_that_cannot_be_read_is_nobodys(people: Edge, text: str) -> None:
    people.table("number")[f"{TRUNK}/{NUMBER}"] = text
    assert codes(call(people, NUMBER)) == [407]
    assert NUMBER in people.kamailio.errors[0]


def test_a_call_out_goes_to_the_trunks_pbx(people: Edge) -> None:
    contact = f"Contact: <{BOB.contact}>"
    sent = people.as_device("INVITE", BOB, f"sip:600@{DOMAIN}", contact, body=SDP)
    (invite,) = requests(sent, "INVITE")
    assert invite.to == "sip:192.0.2.7:5060;transport=udp"
    assert "<sip:1002@pbx.example>" in invite.message.get("From")
