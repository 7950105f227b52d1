"""A PBX that registers at us: it is found where it came from, and its calls are known by that."""

from __future__ import annotations

import pytest

from kemi import wire
from tests.fakes.edge import (
    ALICE,
    ALICE_AOR,
    CONNECTION,
    DOMAIN,
    PBX,
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

URI = f"sip:{DOMAIN}"
ACCOUNT = Device(CONNECTION, "shown once")  # a PBX's credential is a device's, but for the table it is in
CONTACT = f"<sip:{CONNECTION}@192.0.2.7:5060>"
BEHIND_NAT = Origin("203.0.113.9", 31000, "tcp")


@pytest.fixture
def people(edge: Edge) -> Edge:
    """Alice, whose connection's PBX has no address that we know of."""
    edge.with_person(ALICE)
    document = connection(next_hop="", sources=[], register=False, ha1_inbound=ACCOUNT.ha1)
    edge.put("connection", CONNECTION, document)
    return edge


def register(
    edge: Edge, *headers: str, account: Device = ACCOUNT, origin: Origin = PBX, expires: int | str = 300
) -> list[Sent]:
    """The PBX registers, with its digest."""
    wanted = headers or (f"Contact: {CONTACT}", f"Expires: {expires}")
    to = f"<sip:{account.id}@{DOMAIN}>"
    return edge.as_device("REGISTER", account, URI, *wanted, origin=origin, to=to)


def call(edge: Edge, number: str = CONNECTION, origin: Origin = PBX) -> list[Sent]:
    return edge.kamailio.receive(edge.request("INVITE", f"sip:{number}@127.0.7.1:5060", body=SDP), origin)


def dial(edge: Edge) -> list[Sent]:
    """Alice calls out."""
    return edge.as_device(
        "INVITE", ALICE, f"sip:600@{DOMAIN}", f"Contact: <{ALICE.contact}>", body=SDP, call_id="out"
    )


def upstream(edge: Edge) -> list[wire.UpstreamEvent]:
    return edge.events_of(wire.UpstreamEvent)


def woken(edge: Edge) -> list[list[str]]:
    return [wake.asleep for wake in edge.events_of(wire.WakeEvent)]


# ---------------------------------------------------------------------------------------------------- registration


def test_a_pbx_registers_and_is_told_as_registered(people: Edge) -> None:
    (reply,) = replies(register(people))
    assert (reply.code, reply.get("Contact")) == (200, f"{CONTACT};expires=300")
    (event,) = upstream(people)
    assert (event.connection, event.state, event.code, event.expires) == (CONNECTION, "registered", 200, 300)
    assert "sip:192.0.2.7:5060" in event.reason
    assert event.durable == "", "there is nothing of ours to go on with after a restart"


def test_a_pbx_with_a_wrong_password_is_challenged_and_takes_no_calls(people: Edge) -> None:
    assert codes(register(people, account=Device(CONNECTION, "guess"))) == [401]
    assert upstream(people) == []
    assert codes(call(people)) == [407]


def test_a_connection_that_no_pbx_may_register_at_is_an_unknown_name(people: Edge) -> None:
    people.put("connection", CONNECTION, connection(ha1_inbound=""))
    assert codes(register(people)) == [401]
    (event,) = people.events_of(wire.RegisterEvent)
    assert (event.action, event.reason) == ("refused", "unknown device")


def test_a_password_that_was_replaced_is_void(people: Edge) -> None:
    register(people)
    fresh = Device(CONNECTION, "shown once more")
    people.put("connection", CONNECTION, connection(next_hop="", sources=[], ha1_inbound=fresh.ha1))
    assert codes(register(people)) == [401]
    assert codes(register(people, account=fresh)) == [200]


def test_a_pbx_that_signs_off_is_told_as_such_and_calls_no_more(people: Edge) -> None:
    register(people)
    assert codes(register(people, expires=0)) == [200]
    assert [(e.state, e.expires) for e in upstream(people)] == [("registered", 300), ("unregistered", 0)]
    assert codes(call(people)) == [407]
    assert people.table("arrived") == {}


def test_a_pbx_that_removes_everything_by_star_has_signed_off(people: Edge) -> None:
    register(people)
    assert codes(register(people, "Contact: *", "Expires: 0")) == [200]
    assert [e.state for e in upstream(people)] == ["registered", "unregistered"]
    assert people.table("arrived") == {}


def test_a_pbx_that_only_asks_for_its_binding_has_not_registered(people: Edge) -> None:
    (reply,) = replies(register(people, "Expires: 300"))
    assert reply.code == 200
    assert upstream(people) == []
    assert codes(call(people)) == [407]


def test_a_pbx_that_does_not_renew_its_registration_is_told_as_unregistered(people: Edge) -> None:
    register(people, expires=60)
    people.kamailio.advance(59)
    assert [e.state for e in upstream(people)] == ["registered"]
    people.kamailio.advance(2)
    (event,) = upstream(people)
    assert (event.connection, event.state, event.code) == (CONNECTION, "unregistered", 0)
    assert codes(call(people)) == [407]
    assert people.table("arrived") == {}


def test_a_pbx_whose_connection_is_lost_is_told_as_unregistered(people: Edge) -> None:
    register(people, origin=BEHIND_NAT)
    people.kamailio.registrar.lose("sip:203.0.113.9:31000;transport=tcp")
    people.kamailio.advance(1)
    assert [e.state for e in upstream(people)] == ["registered", "unregistered"]
    assert people.table("arrived") == {}


def test_the_end_of_a_binding_of_nobody_we_know_is_no_news(people: Edge) -> None:
    people.kamailio.registrar.bind("sip:gone@nightbell.test", "sip:gone@192.0.2.1", 1)
    people.kamailio.advance(2)
    assert people.events() == []
    assert people.kamailio.errors == []


@pytest.mark.parametrize("contact", ["<tel:+4930123>", "nonsense", "*"])
def test_a_contact_that_is_no_address_is_refused(people: Edge, contact: str) -> None:
    assert codes(register(people, f"Contact: {contact}", "Expires: 300")) == [400]
    assert upstream(people) == []
    assert people.table("arrived") == {}


@pytest.mark.parametrize(("asked", "kept"), [("99999", 7200), ("", 600), ("²", 600), ("9" * 5000, 600)])
def test_a_strange_expiry_is_brought_within_what_is_kept(people: Edge, asked: str, kept: int) -> None:
    assert codes(register(people, expires=asked)) == [200]
    assert [e.expires for e in upstream(people)] == [kept]


# ------------------------------------------------------------------------------------------------------ calls in


def test_a_call_by_the_flow_the_pbx_registered_by_rings_whom_the_connection_rings(people: Edge) -> None:
    register(people, origin=BEHIND_NAT)
    assert codes(call(people, "s", BEHIND_NAT)) == [100]
    assert woken(people) == [[ALICE.id]]


def test_a_number_of_such_a_pbx_rings_the_person_it_belongs_to(people: Edge) -> None:
    bob = Device("bob-x9y8z7")
    people.put("line", f"sip:bob@{DOMAIN}", wire.LineDoc([wire.LineDevice(bob.id, True)]))
    people.put("number", f"{CONNECTION}/+4930", wire.NumberDoc([f"sip:bob@{DOMAIN}"]))
    register(people)
    call(people, "+4930")
    call(people, "+4940")
    assert woken(people) == [[bob.id], [ALICE.id]]


@pytest.mark.parametrize("origin", [Origin("203.0.113.9", 31001), Origin("203.0.113.8", 31000)])
def test_s8_a_call_from_beside_that_flow_is_a_strangers(people: Edge, origin: Origin) -> None:
    register(people, origin=BEHIND_NAT)
    assert codes(call(people, CONNECTION, origin)) == [407]


def test_s8_a_connection_that_was_removed_takes_no_calls(people: Edge) -> None:
    register(people)
    del people.table("connection")[CONNECTION]
    assert codes(call(people)) == [407]


def test_r5_its_qualify_is_answered(people: Edge) -> None:
    register(people)
    assert codes(people.kamailio.receive(people.request("OPTIONS", f"sip:s@{DOMAIN}"), PBX)) == [200]


# ----------------------------------------------------------------------------------------------------- calls out


def test_a_call_out_goes_where_the_pbx_came_from(people: Edge) -> None:
    register(people, origin=BEHIND_NAT)
    (invite,) = requests(dial(people), "INVITE")
    assert invite.to == "sip:203.0.113.9:31000;transport=tcp"
    assert invite.message.uri == "sip:600@pbx.example"


def test_a_call_out_to_a_pbx_that_is_not_registered_says_so(people: Edge) -> None:
    (reply,) = [r for r in replies(dial(people)) if r.code >= 200]
    assert (reply.code, reply.reason) == (480, "The PBX of this connection is not registered here")
    failed = people.events_of(wire.CallEvent)[-1]
    assert (failed.step, failed.code) == ("failed", 480)


def test_a_pbx_with_an_address_of_its_own_is_called_there_even_if_it_registers(people: Edge) -> None:
    people.put("connection", CONNECTION, connection(aors=[ALICE_AOR], ha1_inbound=ACCOUNT.ha1))
    register(people, origin=BEHIND_NAT)
    (invite,) = requests(dial(people), "INVITE")
    assert invite.to == "sip:192.0.2.7:5060;transport=udp"
