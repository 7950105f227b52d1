"""A device registers: who is believed, what is kept, what the edge agent is told."""

from __future__ import annotations

import pytest

from kemi import pn_params, wire
from tests.fakes.edge import ALICE, ALICE_AOR, DOMAIN, PHONE, VAPID, Device, Edge, codes, replies
from tests.fakes.kamailio import Message

URI = f"sip:{DOMAIN}"


def told(edge: Edge) -> list[wire.RegisterEvent]:
    return edge.events_of(wire.RegisterEvent)


def bindings(edge: Edge, device: Device = ALICE) -> list[str]:
    return [b.contact for b in edge.kamailio.registrar.bindings(edge.node.device_uri(device.id))]


def test_a_device_registers(edge: Edge) -> None:
    edge.with_person(ALICE)
    (reply,) = replies(edge.register(ALICE, "User-Agent: Linphone/5.2"))
    assert (reply.code, reply.get("Contact")) == (200, f"<{ALICE.contact}>;expires=600")
    assert bindings(edge) == [ALICE.contact]
    (event,) = told(edge)
    assert (event.device, event.action, event.reply, event.expires) == (ALICE.id, "added", 200, 600)
    assert (event.contact, event.user_agent) == (ALICE.contact, "Linphone/5.2")
    assert event.source == f"udp:{PHONE.address}:{PHONE.port}"


def test_a_device_is_challenged_first(edge: Edge) -> None:
    edge.with_person(ALICE)
    (reply,) = replies(edge.kamailio.receive(edge.request("REGISTER", URI), PHONE))
    assert reply.code == 401
    assert f'realm="{DOMAIN}"' in reply.get("WWW-Authenticate")
    assert 'qop="auth"' in reply.get("WWW-Authenticate")
    assert told(edge) == []


def test_a_wrong_password_is_refused_and_told(edge: Edge) -> None:
    edge.with_person(ALICE)
    (reply,) = replies(edge.register(Device(ALICE.id, "guess")))
    assert reply.code == 401
    assert bindings(edge) == []
    (event,) = told(edge)
    assert (event.device, event.action, event.reply, event.reason) == (
        ALICE.id,
        "refused",
        401,
        "wrong password",
    )


def test_an_unknown_device_gets_the_same_answer_as_a_wrong_password(edge: Edge) -> None:
    edge.with_person(ALICE)
    (unknown,) = replies(edge.register(Device("nobody-000000")))
    (wrong,) = replies(edge.register(Device(ALICE.id, "guess")))
    assert unknown.first == wrong.first
    assert [name for name, _ in unknown.headers] == [name for name, _ in wrong.headers]
    assert [event.reason for event in told(edge)] == ["unknown device", "wrong password"]


def test_an_old_nonce_is_asked_again_and_is_no_refusal(edge: Edge) -> None:
    edge.with_person(ALICE)
    line = (
        f'Authorization: Digest username="{ALICE.id}", realm="{DOMAIN}", nonce="old", uri="{URI}", '
        'response="0", nc=00000001, cnonce="c", qop=auth'
    )
    assert codes(edge.kamailio.receive(edge.request("REGISTER", URI, line), PHONE)) == [401]
    assert told(edge) == []


def test_credentials_for_another_realm_are_asked_again(edge: Edge) -> None:
    edge.with_person(ALICE)
    line = f'Authorization: Digest username="{ALICE.id}", realm="elsewhere", nonce="n", uri="{URI}", response="0"'
    assert codes(edge.kamailio.receive(edge.request("REGISTER", URI, line), PHONE)) == [401]


def test_a_device_cannot_register_another_address(edge: Edge) -> None:
    bob = Device("bob-x9y8z7")
    edge.with_person(ALICE, bob)
    sent = edge.as_device(
        "REGISTER", ALICE, URI, f"Contact: <{ALICE.contact}>", to=f"<sip:{bob.id}@{DOMAIN}>"
    )
    assert codes(sent) == [403]
    assert bindings(edge, bob) == bindings(edge) == []
    (event,) = told(edge)
    assert (event.action, event.reply) == ("refused", 403)


def test_a_device_may_register_by_its_users_name(edge: Edge) -> None:
    edge.with_person(ALICE)
    assert codes(
        edge.as_device("REGISTER", ALICE, URI, f"Contact: <{ALICE.contact}>", to=f"<{ALICE_AOR}>")
    ) == [200]
    assert bindings(edge) == [ALICE.contact]


def test_s2_a_device_has_one_binding_however_often_its_port_changes(edge: Edge) -> None:
    edge.with_person(ALICE)
    for port in (40001, 40002, 40003):
        edge.register(ALICE, contact=f"<sip:{ALICE.id}@198.51.100.20:{port}>")
    assert bindings(edge) == [f"sip:{ALICE.id}@198.51.100.20:40003"]


def test_a_refresh_and_a_removal_are_told_as_such(edge: Edge) -> None:
    edge.with_person(ALICE)
    for expires in (600, 600, 0):
        assert codes(edge.register(ALICE, expires=expires)) == [200]
    assert [(e.action, e.expires) for e in told(edge)] == [("added", 600), ("refreshed", 600), ("removed", 0)]
    assert bindings(edge) == []


def test_u1_a_binding_that_runs_out_is_told_as_lost(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.events()
    edge.kamailio.advance(601)
    ((device, action, reply),) = [(e.device, e.action, e.reply) for e in told(edge)]
    assert (device, action, reply) == (ALICE.id, "lost", 0)
    assert bindings(edge) == []


def test_a_removal_by_star_is_understood(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    assert codes(edge.register(ALICE, contact="*", expires=0)) == [200]
    assert bindings(edge) == []


def test_a_query_is_answered_with_the_binding_and_told_as_one(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.events()
    (reply,) = replies(edge.as_device("REGISTER", ALICE, URI, to=f"<sip:{ALICE.id}@{DOMAIN}>"))
    assert (reply.code, reply.get("Contact")) == (200, f"<{ALICE.contact}>;expires=600")
    assert [(e.action, e.contact) for e in told(edge)] == [("queried", "")]
    assert bindings(edge) == [ALICE.contact]


@pytest.mark.parametrize("contact", ["<tel:+4930123>", "<>", "nonsense", "<sip:>", '"', "*"])
def test_a_contact_that_is_no_address_is_refused_and_told(edge: Edge, contact: str) -> None:
    edge.with_person(ALICE)
    assert codes(edge.register(ALICE, contact=contact)) == [400]
    assert [(e.action, e.reply) for e in told(edge)] == [("refused", 400)]


@pytest.mark.parametrize("expires", ["", "x", "-1", "1.5", "99999999999999999999", " ", "²", "9" * 5000])
def test_an_expiry_that_is_no_number_still_gets_an_answer(edge: Edge, expires: str) -> None:
    edge.with_person(ALICE)
    assert codes(edge.register(ALICE, expires=expires)) == [200]
    assert len(told(edge)) == 1


def test_p7_the_push_parameters_are_told_with_the_device_that_authenticated(edge: Edge) -> None:
    edge.with_person(ALICE)
    contact = (
        f"<{ALICE.contact};pn-provider=apns;pn-param=TEAM.org.example.phone.voip%26remote;pn-prid=aa%3Avoip>"
        ';+sip.instance="<urn:uuid:1234>";expires=300'
    )
    edge.register(ALICE, contact=contact)
    (event,) = told(edge)
    assert event.device == ALICE.id
    assert event.each_token() == [wire.Token("apns", "org.example.phone.voip", "production", "voip", "aa")]
    assert (event.instance, event.expires, event.granted) == ("urn:uuid:1234", 300, 300)


def test_p7_a_long_token_fits(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE, contact=f"<{ALICE.contact};pn-provider=fcm;pn-param=1;pn-prid={'t' * 1500}>")
    assert told(edge)[0].each_token()[0].token == "t" * 1500


def test_a_device_whose_document_was_withdrawn_is_unknown(edge: Edge) -> None:
    edge.with_person(ALICE)
    assert codes(edge.register(ALICE)) == [200]
    del edge.table("device")[ALICE.id]
    assert codes(edge.register(ALICE)) == [401]


def test_a_changed_password_counts_from_the_next_request_on(edge: Edge) -> None:
    edge.with_person(ALICE)
    assert codes(edge.register(ALICE)) == [200]
    changed = Device(ALICE.id, "another")
    edge.put("device", ALICE.id, wire.DeviceDoc(ALICE_AOR, changed.ha1))
    assert codes(edge.register(ALICE)) == [401]
    assert codes(edge.register(changed)) == [200]


@pytest.mark.parametrize(
    "more", ["Contact: <sip:other@192.0.2.9>", "Contact: <sip:a@192.0.2.9>, <sip:b@192.0.2.9>"]
)
def test_s2_a_device_brings_one_contact(edge: Edge, more: str) -> None:
    edge.with_person(ALICE)
    assert codes(edge.register(ALICE, more)) == [400]
    assert bindings(edge) == []
    assert [(event.action, event.reply) for event in told(edge)] == [("refused", 400)]


# ------------------------------------------------------------------------------------------------ push (RFC 8599)

APNS = "pn-provider=apns;pn-param=TEAM123456.org.example.phone.voip;pn-prid=aa11"


def with_push(edge: Edge, parameters: str, more: str = "", expires: int = 600) -> Message:
    (reply,) = replies(edge.register(ALICE, contact=f"<{ALICE.contact};{parameters}>{more}", expires=expires))
    return reply


def test_the_200_says_by_what_the_device_is_pushed_to(edge: Edge) -> None:
    edge.with_person(ALICE)
    (caps,) = with_push(edge, APNS).all("Feature-Caps")
    assert caps.partition(";+sip.pnspurr=")[0] == '*;+sip.pns="apns"'


def test_a_query_is_told_all_providers_and_brings_no_token(edge: Edge) -> None:
    edge.with_person(ALICE)
    assert with_push(edge, "pn-provider").all("Feature-Caps") == [
        '*;+sip.pns="apns"',
        '*;+sip.pns="apns.dev"',
        '*;+sip.pns="fcm"',
        f'*;+sip.pns="webpush";+sip.vapid="{VAPID}"',
    ]
    assert [event.tokens for event in told(edge)] == [[]]


def test_a_register_without_push_is_answered_without(edge: Edge) -> None:
    edge.with_person(ALICE)
    (reply,) = replies(edge.register(ALICE))
    assert reply.all("Feature-Caps") == []


def test_p9_an_unsupported_provider_is_answered_555_and_the_binding_there_is_stays(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.events()
    reply = with_push(edge, "pn-provider=firebase;pn-param=1;pn-prid=t")
    assert (reply.code, reply.get("Warning")) == (
        555,
        f'399 {DOMAIN} "pn-provider firebase is not registered; send fcm"',
    )
    assert reply.all("Feature-Caps") == []
    assert bindings(edge) == [ALICE.contact]
    (event,) = told(edge)
    assert (event.action, event.reply, event.tokens) == ("refused", 555, [])
    assert event.reason == "pn-provider firebase is not registered; send fcm"


@pytest.mark.parametrize(
    "prid", ["aa%0d%0aX-Evil:%201", "a" * 1500, "%00", "%E2%80%A8", "%ff", '%22%5c"', "aa:remote"]
)
def test_p9_a_token_that_cannot_be_one_is_refused_and_nothing_is_lost(edge: Edge, prid: str) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    edge.events()
    reply = with_push(edge, f"pn-provider=apns;pn-param=TEAM123456.org.example.phone.voip;pn-prid={prid}")
    assert reply.code == 400
    assert bindings(edge) == [ALICE.contact]
    assert [(event.action, event.reply, event.tokens) for event in told(edge)] == [("refused", 400, [])]
    assert "Evil" not in reply.first + reply.get("Warning")


def test_p7_a_token_of_5000_bytes_is_refused_with_the_limit(edge: Edge) -> None:
    edge.with_person(ALICE)
    reply = with_push(edge, f"pn-provider=fcm;pn-param=1;pn-prid={'t' * 5000}")
    assert (reply.code, reply.first.endswith("Contact Too Long")) == (400, True)
    assert "2048 bytes" in reply.get("Warning")
    (event,) = told(edge)
    assert (event.action, len(event.contact)) == ("refused", 2048)


def test_a_device_that_leaves_may_say_of_push_what_it_likes(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.register(ALICE)
    assert with_push(edge, "pn-provider=firebase", expires=0).code == 200
    assert bindings(edge) == []


def test_a_device_that_can_only_be_told_of_messages_learns_it_from_the_register_log(edge: Edge) -> None:
    edge.with_person(ALICE)
    with_push(edge, "pn-provider=apns;pn-param=TEAM123456.org.example.phone;pn-prid=aa11")
    (event,) = told(edge)
    assert (event.reply, event.reason) == (200, pn_params.CANNOT_RING)
    assert event.each_token()[0].kind == "alert"


@pytest.mark.parametrize(("expires", "before"), [(600, 121), (7200, 121), (30, 20), (10, 20)])
def test_a_device_that_refreshes_by_itself_is_told_when(edge: Edge, expires: int, before: int) -> None:
    edge.with_person(ALICE)
    reply = with_push(edge, APNS, ";+sip.pnsreg", expires)
    caps = reply.get("Feature-Caps").partition(";+sip.pnspurr=")[0]
    assert caps == f'*;+sip.pns="apns";+sip.pnsreg="{before}"'
    (event,) = told(edge)
    assert (event.refresh_before, event.granted) == (before, max(expires, 30))


def test_one_that_does_not_say_so_is_not(edge: Edge) -> None:
    edge.with_person(ALICE)
    with_push(edge, APNS)
    assert told(edge)[0].refresh_before == 0
