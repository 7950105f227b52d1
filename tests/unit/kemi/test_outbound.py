"""A call from a device through its PBX: in the connection's name and with its credential, no claims of the device's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kemi import wire
from tests.fakes.edge import (
    ALICE,
    ALICE_AOR,
    CONNECTION,
    DOMAIN,
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
from tests.fakes.kamailio.modules import digest_response, digest_values

CHALLENGE = 'Digest realm="asterisk", nonce="n1", algorithm=MD5, qop="auth"'


def dial(edge: Edge, number: str, *headers: str, device: Device = ALICE) -> list[Sent]:
    contact = f"Contact: <{device.contact}>"
    return edge.as_device("INVITE", device, f"sip:{number}@{DOMAIN}", contact, *headers, body=SDP)


def steps(edge: Edge) -> list[tuple[str, int]]:
    return [(event.step, event.code) for event in edge.events_of(wire.CallEvent)]


def test_a_call_leaves_in_the_connections_name(edge: Edge) -> None:
    edge.with_person(ALICE)
    (invite,) = requests(dial(edge, "600"), "INVITE")
    assert invite.to == "sip:192.0.2.7:5060;transport=udp"
    assert invite.message.uri == "sip:600@pbx.example"
    assert "<sip:1002@pbx.example>;tag=" in invite.message.get("From")
    assert invite.message.get("To").startswith("<sip:600@pbx.example>")
    assert ALICE.id not in invite.message.get("From")


def test_s3_a_call_leaves_from_the_public_listener_whatever_transport_it_came_by(edge: Edge) -> None:
    edge.with_person(ALICE)
    (invite,) = requests(dial(edge, "600"), "INVITE")
    assert invite.socket == "udp:127.0.7.1:5060"


def test_the_devices_credential_stays_here(edge: Edge) -> None:
    edge.with_person(ALICE)
    (invite,) = requests(dial(edge, "600"), "INVITE")
    assert not invite.message.has("Proxy-Authorization")
    assert not invite.message.has("Authorization")


def test_a_stranger_is_challenged(edge: Edge) -> None:
    edge.with_person(ALICE)
    sent = edge.kamailio.receive(edge.request("INVITE", f"sip:600@{DOMAIN}"), PHONE)
    assert codes(sent) == [407]
    assert requests(sent, "INVITE") == []


def test_a_wrong_password_makes_no_call(edge: Edge) -> None:
    edge.with_person(ALICE)
    assert codes(dial(edge, "600", device=Device(ALICE.id, "guess"))) == [407]


def test_s8_an_invite_to_a_connection_from_elsewhere_is_challenged_as_any_other(edge: Edge) -> None:
    edge.with_person(ALICE)
    sent = edge.kamailio.receive(edge.invite_from_pbx(), PHONE)
    assert codes(sent) == [407]
    assert edge.events() == []


def test_the_pbxs_challenge_is_answered_with_the_connections_credential(edge: Edge) -> None:
    edge.with_person(ALICE)
    (first,) = requests(dial(edge, "600"), "INVITE")
    sent = edge.answer(first, 401, "Unauthorized", f"WWW-Authenticate: {CHALLENGE}", origin=PBX)
    assert codes(sent) == [], "the challenge is not the device's business"
    (second,) = requests(sent, "INVITE")
    values = digest_values(second.message.get("Authorization"))
    assert values["username"] == "1002"
    assert values["response"] == digest_response(connection().ha1_md5, "INVITE", values)
    assert codes(edge.answer(second, 180, "Ringing", origin=PBX)) == [180]
    assert codes(edge.answer(second, 200, "OK", body=SDP, origin=PBX)) == [200]
    assert [step for step, _ in steps(edge)] == [
        "invite-in",
        "invite-out",
        "challenged",
        "invite-out",
        "ringing",
        "answered",
    ]


def test_s1_the_dialogs_cseq_is_tracked_from_the_start(edge: Edge) -> None:
    edge.with_person(ALICE)
    (invite,) = requests(dial(edge, "600"), "INVITE")
    assert edge.kamailio.dialog.tracked == [invite.message.get("Call-ID")]


def test_the_authenticated_invite_has_media_too(edge: Edge) -> None:
    edge.with_person(ALICE)
    (first,) = requests(dial(edge, "600"), "INVITE")
    sent = edge.answer(first, 407, "Auth", f"Proxy-Authenticate: {CHALLENGE}", origin=PBX)
    edge.answer(requests(sent, "INVITE")[0], 200, "OK", body=SDP, origin=PBX)
    assert [c[0] for c in edge.kamailio.rtpengine.commands] == ["offer", "offer", "answer"]


def test_r2_a_credential_the_pbx_refuses_is_tried_once(edge: Edge) -> None:
    edge.with_person(ALICE)
    (first,) = requests(dial(edge, "600"), "INVITE")
    challenge = f"WWW-Authenticate: {CHALLENGE}"
    (second,) = requests(edge.answer(first, 401, "Unauthorized", challenge, origin=PBX), "INVITE")
    sent = edge.answer(second, 401, "Unauthorized", challenge, origin=PBX)
    assert requests(sent, "INVITE") == []
    (reply,) = replies(sent)
    assert reply.code == 403
    assert "refused the credential" in reply.get("Reason")
    assert not reply.has("WWW-Authenticate")
    assert steps(edge)[-1] == ("failed", 403)


def test_s7_a_challenge_for_another_realm_gets_no_answer(edge: Edge) -> None:
    edge.with_person(ALICE)
    (first,) = requests(dial(edge, "600"), "INVITE")
    foreign = CHALLENGE.replace("asterisk", "elsewhere")
    sent = edge.answer(first, 401, "Unauthorized", f"WWW-Authenticate: {foreign}", origin=PBX)
    assert requests(sent, "INVITE") == []
    assert codes(sent) == [403]


def test_a_challenge_before_the_credential_is_known_ends_the_call(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.put("connection", CONNECTION, connection(ha1_md5=""))
    (first,) = requests(dial(edge, "600"), "INVITE")
    sent = edge.answer(first, 401, "Unauthorized", f"WWW-Authenticate: {CHALLENGE}", origin=PBX)
    assert codes(sent) == [403]


@pytest.mark.parametrize(("code", "reason"), [(486, "Busy Here"), (404, "Not Found"), (503, "Unavailable")])
def test_what_the_pbx_says_goes_to_the_device_as_it_is(edge: Edge, code: int, reason: str) -> None:
    edge.with_person(ALICE)
    (invite,) = requests(dial(edge, "600"), "INVITE")
    (reply,) = replies(edge.answer(invite, code, reason, origin=PBX))
    assert (reply.code, reply.reason) == (code, reason)
    assert steps(edge)[-1] == ("failed", code)
    assert edge.kamailio.rtpengine.commands[-1][0] == "delete"


def test_a_pbx_that_is_silent_ends_the_call(edge: Edge) -> None:
    edge.with_person(ALICE)
    dial(edge, "600")
    assert codes(edge.kamailio.advance(4)) == [408]
    assert steps(edge)[-1] == ("failed", 408)


def test_the_device_gives_up(edge: Edge) -> None:
    edge.with_person(ALICE)
    sent = dial(edge, "600")
    (invite,) = requests(sent, "INVITE")
    edge.answer(invite, 180, "Ringing", origin=PBX)
    original = next(
        t.request for t in edge.kamailio.transactions.all.values() if t.request.method == "INVITE"
    )
    text = edge.request(
        "CANCEL",
        original.uri,
        via=original.get("Via"),
        from_=original.get("From"),
        call_id=original.get("Call-ID"),
    )
    assert len(requests(edge.kamailio.receive(text, PHONE), "CANCEL")) == 1
    assert codes(edge.answer(invite, 487, "Request Terminated", origin=PBX)) == [487]
    assert steps(edge)[-1] == ("cancelled", 487)
    assert edge.kamailio.rtpengine.commands[-1][0] == "delete"


@pytest.mark.parametrize(
    "header",
    [
        "P-Asserted-Identity: <sip:boss@pbx.example>",
        "p-asserted-identity: <sip:boss@pbx.example>",
        "P-ASSERTED-IDENTITY:\r\n <sip:boss@pbx.example>",
        "P-Asserted-Identity\t : <sip:boss@pbx.example>",
        "P-Preferred-Identity: <sip:boss@pbx.example>",
        "Remote-Party-ID: <sip:boss@pbx.example>",
        "y: boss",
        "X-Boss: boss",
        "x-b: boss",
        "Diversion: <sip:boss@pbx.example>",
        "History-Info: <sip:boss@pbx.example>",
    ],
)
def test_s6_headers_that_carry_trust_do_not_reach_the_pbx(edge: Edge, header: str) -> None:
    edge.with_person(ALICE)
    (invite,) = requests(dial(edge, "600", header), "INVITE")
    assert b"boss" not in invite.message.encode()


def test_the_devices_push_parameters_do_not_reach_the_pbx(edge: Edge) -> None:
    edge.with_person(ALICE)
    contact = f"Contact: <{ALICE.contact};pn-provider=apns;pn-prid=SECRET>"
    sent = edge.as_device("INVITE", ALICE, f"sip:600@{DOMAIN}", contact, body=SDP)
    (invite,) = requests(sent, "INVITE")
    assert b"SECRET" not in invite.message.encode()


def test_a_device_behind_nat_is_reached_by_its_flow(edge: Edge) -> None:
    edge.with_person(ALICE)
    sent = edge.as_device(
        "INVITE",
        ALICE,
        f"sip:600@{DOMAIN}",
        f"Contact: <sip:{ALICE.id}@10.0.0.9:5060>",
        body=SDP,
        via="SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKnat",
    )
    (invite,) = requests(sent, "INVITE")
    assert f"alias={PHONE.address}~{PHONE.port}~1" in invite.message.get("Contact")


@pytest.mark.parametrize("number", ["600", "+4930123456", "*72", "alice.b", "a-b_c~d"])
def test_numbers_and_names_are_dialled_as_they_are(edge: Edge, number: str) -> None:
    edge.with_person(ALICE)
    (invite,) = requests(dial(edge, number), "INVITE")
    assert invite.message.uri == f"sip:{number}@pbx.example"


def test_a_hash_is_dialled_escaped_as_a_sip_uri_demands(edge: Edge) -> None:
    edge.with_person(ALICE)
    (invite,) = requests(dial(edge, "%2331%23600"), "INVITE")
    assert invite.message.uri == "sip:%2331%23600@pbx.example"
    assert edge.events_of(wire.CallEvent)[0].callee == "#31#600"


@pytest.mark.parametrize("number", ["600>", "600;x=1", "6" * 65, "600%0d%0aX-Evil", "é"])
def test_a_number_no_pbx_understands_is_refused(edge: Edge, number: str) -> None:
    edge.with_person(ALICE)
    sent = dial(edge, number)
    assert requests(sent, "INVITE") == []
    assert codes(sent)[-1] in (400, 484)


def test_a_pbx_that_cannot_be_sent_to_is_said(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.with_person(ALICE)
    monkeypatch.setattr(edge.kamailio.tm, "t_relay", lambda: -1)
    assert codes(dial(edge, "600"))[-1] == 500
    assert steps(edge)[-1] == ("failed", 500)


def test_a_call_over_tcp_leaves_by_the_connection_to_the_pbx(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.put("connection", CONNECTION, connection(next_hop="sip:192.0.2.7:5060;transport=tcp"))
    (invite,) = requests(dial(edge, "600"), "INVITE")
    assert (invite.to, invite.socket) == ("sip:192.0.2.7:5060;transport=tcp", "")


@pytest.mark.parametrize("text", [None, "{", connection(next_hop="").encode()])
def test_a_device_without_a_connection_cannot_call_out(edge: Edge, text: str | None) -> None:
    edge.with_person(ALICE)
    if text is None:
        edge.put("device", ALICE.id, wire.DeviceDoc(ALICE_AOR, ALICE.ha1))
    else:
        edge.table("connection")[CONNECTION] = text
    assert codes(dial(edge, "600")) == [404]
    assert steps(edge) == [("invite-in", 0), ("failed", 404)]


def test_the_journal_knows_who_called_whom(edge: Edge) -> None:
    edge.with_person(ALICE)
    dial(edge, "600")
    first = edge.events_of(wire.CallEvent)[0]
    assert (first.step, first.direction, first.device, first.aor) == ("invite-in", "out", ALICE.id, ALICE_AOR)
    assert (first.connection, first.callee) == (CONNECTION, "600")


@pytest.mark.parametrize(
    ("media", "why"),
    [("", "no media"), ("m=audio 9 RTP/AVP 3\r\n", "No codec in common: offered GSM, allowed PCMA")],
)
def test_an_offer_that_cannot_go_on_is_refused_with_the_reason(edge: Edge, media: str, why: str) -> None:
    edge.with_person(ALICE)
    edge.put("connection", CONNECTION, connection(codecs=["PCMA"]))
    contact = f"Contact: <{ALICE.contact}>"
    body = f"v=0\r\n{media}"
    sent = edge.as_device("INVITE", ALICE, f"sip:600@{DOMAIN}", contact, body=body)
    (refused,) = [reply for reply in replies(sent) if reply.code == 488]
    assert why in refused.get("Reason")
    assert edge.kamailio.rtpengine.commands == []


def test_a_session_whose_name_is_not_utf8_is_relayed_all_the_same(edge: Edge) -> None:
    edge.with_person(ALICE)
    contact = f"Contact: <{ALICE.contact}>"
    body = SDP.replace("s=-", "s=caf\udce9")
    sent = edge.as_device("INVITE", ALICE, f"sip:600@{DOMAIN}", contact, body=body)
    assert len(requests(sent, "INVITE")) == 1
    assert [command[0] for command in edge.kamailio.rtpengine.commands] == ["offer"]


def test_no_webrtc_through_a_relay_with_a_known_hole(tmp_path: Path) -> None:
    edge = Edge(tmp_path, webrtc=False)
    edge.with_person(ALICE)
    contact = f"Contact: <{ALICE.contact}>"
    body = SDP.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF") + "a=fingerprint:sha-256 AA\r\n"
    sent = edge.as_device("INVITE", ALICE, f"sip:600@{DOMAIN}", contact, body=body)
    (refused,) = [reply for reply in replies(sent) if reply.code == 488]
    assert "CVE-2023-51275" in refused.get("Reason")
    assert len(requests(dial(edge, "600"), "INVITE")) == 1, "plain RTP is not concerned"
    edge.close()
