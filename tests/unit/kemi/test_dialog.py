"""Requests within a call: only along a Route of our own making, media kept in step."""

from __future__ import annotations

import pytest

from kemi import call_mark, wire
from kemi.call_mark import Mark
from kemi.media_profile import Leg, Terms
from tests.fakes.edge import ALICE, PBX, PHONE, SDP, Edge, codes, replies, requests
from tests.fakes.kamailio import Sent

CALL = "00d1a2b3c4e5f607"
PLAIN = Terms()


def route(
    edge: Edge,
    media: Terms | None = PLAIN,
    call_id: str = "the-call",
    caller: str = "",
    outbound: bool = False,
) -> str:
    """The Route of a call whose caller's From-tag is ``caller``: the PBX, or the device of an ``outbound`` one."""
    tag = call_mark.short_tag(caller) if caller else ""
    mark = call_mark.seal(Mark(CALL, media, outbound, tag), call_id, edge.node.key)
    return f"Route: <sip:127.0.7.1:5060;lr;nb={mark}>"


def in_dialog(edge: Edge, method: str, *headers: str, body: str = "", uri: str = ALICE.contact) -> list[Sent]:
    text = edge.request(
        method,
        uri,
        *headers,
        body=body,
        to=f"<sip:x@{edge.node.settings.domain}>;tag=theirs",
        call_id="the-call",
    )
    return edge.kamailio.receive(text, PBX)


def commands(edge: Edge) -> list[str]:
    return [command[0] for command in edge.kamailio.rtpengine.commands]


def test_a_bye_is_passed_on_and_ends_media_and_journal(edge: Edge) -> None:
    (bye,) = requests(in_dialog(edge, "BYE", route(edge)), "BYE")
    assert (bye.to, bye.message.has("Route")) == (ALICE.contact, False)
    assert commands(edge) == ["delete"]
    assert [(e.call, e.step) for e in edge.events_of(wire.CallEvent)] == [(CALL, "device-bye")]
    assert codes(edge.answer(bye, 200, "OK")) == [200]


def test_after_a_bye_the_figures_of_the_media_are_kept_for_a_moment_and_both_sides_are_named(
    edge: Edge,
) -> None:
    in_dialog(edge, "BYE", route(edge))
    assert [command[1] for command in edge.kamailio.rtpengine.commands] == ["delete-delay=3"]
    (told,) = edge.events_of(wire.MediaEndEvent)
    assert (told.call, told.sip_call_id) == (CALL, "the-call")
    # Its mark has another caller's tag: who hangs up here is the device.
    assert (told.device_tag, told.pbx_tag) == ("t1", "theirs")


def test_when_the_pbx_hangs_up_the_sides_are_the_other_way_round(edge: Edge) -> None:
    in_dialog(edge, "BYE", route(edge, caller="t1"))  # the PBX had called, and it is its From-tag in this BYE
    (told,) = edge.events_of(wire.MediaEndEvent)
    assert (told.pbx_tag, told.device_tag) == ("t1", "theirs")


def test_the_journal_is_told_which_side_hung_up(edge: Edge) -> None:
    for caller in ("t1", "theirs"):  # the call is the PBX's: a BYE of its caller's tag is the PBX's
        in_dialog(edge, "BYE", route(edge, caller=caller))
    assert [e.step for e in edge.events_of(wire.CallEvent)] == ["bye", "device-bye"]


def test_a_direct_call_has_no_media_to_end(edge: Edge) -> None:
    assert len(requests(in_dialog(edge, "BYE", route(edge, media=None)), "BYE")) == 1
    assert commands(edge) == []
    assert edge.events_of(wire.MediaEndEvent) == []


def test_s4_a_reinvite_is_offered_and_answered_again(edge: Edge) -> None:
    (invite,) = requests(in_dialog(edge, "INVITE", route(edge), body=SDP), "INVITE")
    assert invite.message.has("Record-Route")
    assert codes(edge.answer(invite, 200, "OK", f"Contact: <{ALICE.contact}>", body=SDP))[-1] == 200
    assert commands(edge) == ["offer", "answer"]


def test_s4_a_reinvite_without_a_body_is_offered_in_the_reply_and_answered_in_the_ack(edge: Edge) -> None:
    (invite,) = requests(in_dialog(edge, "INVITE", route(edge)), "INVITE")
    edge.answer(invite, 200, "OK", body=SDP)
    in_dialog(edge, "ACK", route(edge), body=SDP)
    assert commands(edge) == ["offer", "answer"]


def test_s4_an_update_is_offered_and_answered(edge: Edge) -> None:
    (update,) = requests(in_dialog(edge, "UPDATE", route(edge), body=SDP), "UPDATE")
    edge.answer(update, 200, "OK", body=SDP)
    assert commands(edge) == ["offer", "answer"]


def flags(edge: Edge) -> list[str]:
    return edge.kamailio.rtpengine.commands[-1][1].split()


@pytest.mark.parametrize("by_device", [True, False], ids=["by the device", "by the PBX"])
def test_s4_a_reinvite_is_offered_on_the_terms_of_the_call(edge: Edge, by_device: bool) -> None:
    terms = Terms(Leg.WEBRTC, ("opus",), ("PCMA",))
    in_dialog(edge, "INVITE", route(edge, terms, caller="t1", outbound=by_device), body=SDP)
    asked = flags(edge)
    assert "reuse-codecs" in asked, "what is spoken goes on being spoken"
    if by_device:
        assert {"ICE=remove", "codec-transcode-PCMA"} <= set(asked)
        assert "codec-transcode-opus" not in asked
    else:
        assert {"ICE=force", "codec-transcode-opus"} <= set(asked)
        assert "codec-transcode-PCMA" not in asked


def test_s4_an_offer_in_the_reply_is_made_on_the_terms_of_the_call(edge: Edge) -> None:
    terms = Terms(Leg.WEBRTC, ("opus",), ("PCMA",))
    media_of = route(edge, terms, caller="t1", outbound=True)
    (invite,) = requests(in_dialog(edge, "INVITE", media_of), "INVITE")
    edge.answer(invite, 200, "OK", body=SDP)
    assert {"ICE=force", "codec-transcode-opus", "reuse-codecs"} <= set(flags(edge))


def test_s4_each_description_of_a_browser_names_its_dtls_association(edge: Edge) -> None:
    browser = SDP.replace("m=", "a=fingerprint:sha-256 AB:CD\r\nm=").replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")
    (invite,) = requests(in_dialog(edge, "INVITE", route(edge), body=browser), "INVITE")
    edge.answer(invite, 200, "OK", body=SDP)
    (invite,) = requests(in_dialog(edge, "INVITE", route(edge), body=SDP), "INVITE")
    edge.answer(invite, 200, "OK", body=browser)
    named = browser.replace("m=", "a=tls-id:abcd\r\nm=")
    assert edge.kamailio.rtpengine.descriptions == [named, SDP, SDP, named]


HOLD = SDP.replace("m=audio 4000", "m=audio 4002") + "a=sendonly\r\n"
ANSWERED = SDP.replace("192.0.2.7", "198.51.100.20")


def agree(edge: Edge, offer: str = SDP, answer: str = ANSWERED) -> None:
    """An offer from the side whose tag is ``ours`` is taken."""
    offered = {"from_": "<sip:1001@192.0.2.7>;tag=ours", "body": offer}
    (invite,) = requests(offers(edge, **offered), "INVITE")
    edge.answer(invite, 200, "OK", body=answer)
    edge.kamailio.rtpengine.commands.clear()
    edge.kamailio.rtpengine.descriptions.clear()


def offers(edge: Edge, method: str = "INVITE", body: str = HOLD, **parts: str) -> list[Sent]:
    """An offer within the call, by the one whose tag is ``ours`` unless told otherwise."""
    ends = {"from_": "<sip:1001@192.0.2.7>;tag=ours", "to": "<sip:x@nightbell.test>;tag=theirs"} | parts
    text = edge.request(
        method, ALICE.contact, route(edge, caller="ours"), body=body, call_id="the-call", **ends
    )
    return edge.kamailio.receive(text, PBX)


def told(edge: Edge) -> list[tuple[str, str, set[str]]]:
    """What rtpengine was told: the command, the description, and who is said to have sent it to whom."""
    rtpengine = edge.kamailio.rtpengine
    ends = [{f for f in c[1].split() if f.startswith(("from-tag", "to-tag"))} for c in rtpengine.commands]
    return [(c[0], d, e) for c, d, e in zip(rtpengine.commands, rtpengine.descriptions, ends, strict=True)]


OURS_TO_THEIRS = {"from-tag=ours", "to-tag=theirs"}
AS_BEFORE = [("offer", SDP, OURS_TO_THEIRS), ("answer", ANSWERED, OURS_TO_THEIRS)]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("status", [401, 488, 491, 500])
def test_s4_after_a_refused_offer_holds_what_was_agreed_upon(edge: Edge, method: str, status: int) -> None:
    agree(edge)
    (request,) = requests(offers(edge, method), method)
    assert codes(edge.answer(request, status, "No")) == [status]
    assert told(edge) == [("offer", HOLD, set()), *AS_BEFORE]


def test_s4_also_when_the_other_side_has_offered(edge: Edge) -> None:
    agree(edge)
    turned = {"from_": "<sip:x@nightbell.test>;tag=theirs", "to": "<sip:1001@192.0.2.7>;tag=ours"}
    (request,) = requests(offers(edge, **turned), "INVITE")
    edge.answer(request, 491, "Request Pending")
    assert told(edge)[1:] == AS_BEFORE


def test_s4_also_when_nobody_answers_the_offer(edge: Edge) -> None:
    agree(edge)
    offers(edge)
    assert codes(edge.kamailio.advance(4.0)) == [408]
    assert told(edge)[1:] == AS_BEFORE


def test_s4_also_when_the_offer_cannot_be_sent_on(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    agree(edge)
    monkeypatch.setattr(edge.kamailio.tm, "t_relay", lambda: -1)
    assert codes(offers(edge))[-1] == 500
    assert told(edge)[1:] == AS_BEFORE


def test_s4_what_was_agreed_upon_last_holds_also_when_it_was_offered_in_a_reply(edge: Edge) -> None:
    agree(edge)
    (invite,) = requests(offers(edge, body=""), "INVITE")
    edge.answer(invite, 200, "OK", body=SDP)
    ends = {"from_": "<sip:1001@192.0.2.7>;tag=ours", "to": "<sip:x@nightbell.test>;tag=theirs"}
    offers(edge, "ACK", ANSWERED, **ends)
    edge.kamailio.rtpengine.commands.clear()
    edge.kamailio.rtpengine.descriptions.clear()
    (invite,) = requests(offers(edge), "INVITE")
    edge.answer(invite, 488, "Not Acceptable Here")
    theirs_to_ours = {"from-tag=theirs", "to-tag=ours"}
    assert told(edge)[1:] == [("offer", SDP, theirs_to_ours), ("answer", ANSWERED, theirs_to_ours)]


def test_s4_of_a_call_from_before_a_restart_nothing_is_known(edge: Edge) -> None:
    (invite,) = requests(offers(edge), "INVITE")
    assert codes(edge.answer(invite, 488, "Not Acceptable Here")) == [488]
    assert commands(edge) == ["offer"]


def test_s4_an_offer_refused_here_was_never_made(edge: Edge) -> None:
    agree(edge)
    fax = "v=0\r\nc=IN IP4 192.0.2.7\r\nm=image 4000 udptl t38\r\n"
    assert codes(offers(edge, body=fax))[-1] == 488
    assert commands(edge) == []


def test_s4_a_repeated_offer_is_not_made_twice(edge: Edge) -> None:
    agree(edge)
    via = "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKsame"
    (request,) = requests(offers(edge, "UPDATE", via=via), "UPDATE")
    edge.answer(request, 200, "OK", body=ANSWERED)
    assert codes(offers(edge, "UPDATE", via=via)) == [200]
    assert commands(edge) == ["offer", "answer"]


def test_s4_tags_that_would_be_flags_are_none(edge: Edge) -> None:
    agree(edge)
    evil = "<sip:x@nightbell.test>;tag=theirs call-id=another"
    (request,) = requests(offers(edge, to=evil), "INVITE")
    edge.answer(request, 488, "Not Acceptable Here")
    assert commands(edge) == ["offer"]


def test_s4_what_was_agreed_upon_is_forgotten_with_the_call(edge: Edge) -> None:
    agree(edge)
    assert list(edge.table("agreed")) == [CALL]
    offers(edge, "BYE", "")
    assert edge.table("agreed") == {}


def test_s4_nobody_fills_our_memory_with_descriptions(edge: Edge) -> None:
    agree(edge)
    agree(edge, offer=SDP + "a=x\r\n" * 4000)
    assert edge.table("agreed") == {}, "neither the long one nor the one that holds no more"


def test_s4_a_prack_answers_an_offer_that_came_reliably(edge: Edge) -> None:
    (invite,) = requests(offers(edge, body=""), "INVITE")
    edge.answer(invite, 183, "Session Progress", "RSeq: 1", body=SDP)
    (prack,) = requests(offers(edge, "PRACK", ANSWERED), "PRACK")
    edge.answer(prack, 200, "OK")
    edge.answer(invite, 200, "OK")
    assert commands(edge) == ["offer", "answer"]
    assert list(edge.table("agreed")) == [CALL]


def test_s4_a_prack_offers_when_nothing_is_left_to_answer(edge: Edge) -> None:
    agree(edge)
    (prack,) = requests(offers(edge, "PRACK"), "PRACK")
    edge.answer(prack, 200, "OK", body=ANSWERED)
    assert commands(edge) == ["offer", "answer"]


def test_s4_an_early_answer_counts_if_it_cannot_get_lost(edge: Edge) -> None:
    (invite,) = requests(offers(edge), "INVITE")
    edge.answer(invite, 183, "Session Progress", body=ANSWERED)
    assert edge.table("agreed") == {}
    edge.answer(invite, 183, "Session Progress", "RSeq: 1", body=ANSWERED)
    edge.answer(invite, 200, "OK")
    assert list(edge.table("agreed")) == [CALL]


def test_a_direct_reinvite_leaves_media_alone(edge: Edge) -> None:
    (invite,) = requests(in_dialog(edge, "INVITE", route(edge, media=None), body=SDP), "INVITE")
    edge.answer(invite, 200, "OK", body=SDP)
    assert commands(edge) == []


def test_an_ack_is_passed_on(edge: Edge) -> None:
    assert len(requests(in_dialog(edge, "ACK", route(edge)), "ACK")) == 1
    assert commands(edge) == []


@pytest.mark.parametrize("method", ["INFO", "REFER", "NOTIFY", "SUBSCRIBE", "PRACK", "MESSAGE"])
def test_other_requests_are_passed_on(edge: Edge, method: str) -> None:
    (sent,) = requests(in_dialog(edge, method, route(edge)), method)
    assert sent.message.has("Record-Route") == (method in ("NOTIFY", "SUBSCRIBE"))


def notify(edge: Edge, number: int, event: str = "refer", sender: str = "pbx") -> list[Sent]:
    text = edge.request(
        "NOTIFY",
        ALICE.contact,
        route(edge),
        f"Event: {event}",
        from_=f"<sip:1001@192.0.2.7>;tag={sender}",
        to=f"<sip:x@{edge.node.settings.domain}>;tag=theirs",
        call_id="the-call",
        cseq=f"{number} NOTIFY",
    )
    return edge.kamailio.receive(text, PBX)


def test_a_notify_that_has_been_overtaken_is_answered_here_however_often_it_comes(edge: Edge) -> None:
    assert len(requests(notify(edge, 4), "NOTIFY")) == 1
    for _ in range(2):
        overtaken = notify(edge, 3)
        assert requests(overtaken, "NOTIFY") == []
        assert codes(overtaken) == [200]
    assert len(requests(notify(edge, 5), "NOTIFY")) == 1


@pytest.mark.parametrize(("event", "sender"), [("refer;id=2", "pbx"), ("dialog", "pbx"), ("refer", "device")])
def test_a_notify_of_another_subscription_overtakes_nothing(edge: Edge, event: str, sender: str) -> None:
    notify(edge, 4)
    assert len(requests(notify(edge, 3, event, sender), "NOTIFY")) == 1


def test_a_device_behind_nat_is_reached_by_its_alias(edge: Edge) -> None:
    uri = f"sip:{ALICE.id}@10.0.0.9:5060;alias=198.51.100.20~40000~3"
    (bye,) = requests(in_dialog(edge, "BYE", route(edge), uri=uri), "BYE")
    assert bye.to == "sip:198.51.100.20:40000;transport=tls"
    assert "alias" not in bye.message.uri


@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "REGISTER", "MESSAGE"])
@pytest.mark.parametrize(
    "header",
    [
        "X-No: route",
        "Route: <sip:127.0.7.1:5060;lr>",
        "Route: <sip:127.0.7.1:5060;lr;nb=>",
        "Route: <sip:127.0.7.1:5060;lr;nb=00d1a2b3c4e5f607.r.0123456789abcdef>",
        "Route: nonsense",
        "Route: <>",
        "Route: ;nb=.;nb=.",
    ],
)
def test_a_request_along_a_route_not_ours_goes_nowhere(edge: Edge, method: str, header: str) -> None:
    sent = in_dialog(edge, method, header)
    assert codes(sent) == [481]
    assert requests(sent, method) == []


def test_a_route_of_another_call_goes_nowhere(edge: Edge) -> None:
    assert codes(in_dialog(edge, "BYE", route(edge, call_id="another"))) == [481]


@pytest.mark.parametrize(
    "seen_at", ["127.0.7.1:45213;transport=TCP", "203.0.113.66:5060"], ids=["tcp", "nat"]
)
def test_s1_a_route_in_which_the_pbx_wrote_where_it_sees_us_means_us(edge: Edge, seen_at: str) -> None:
    theirs = route(edge).replace("127.0.7.1:5060", seen_at)
    (bye,) = requests(in_dialog(edge, "BYE", f"{theirs},<sip:192.0.2.99;lr>"), "BYE")
    assert bye.to == "sip:192.0.2.99;lr"
    assert bye.message.all("Route") == ["<sip:192.0.2.99;lr>"]


def test_an_ack_along_a_route_not_ours_is_not_answered(edge: Edge) -> None:
    assert in_dialog(edge, "ACK", "Route: <sip:203.0.113.66;lr>") == []


def test_the_dialog_of_a_real_call_is_followed_both_ways(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.call_from_pbx()
    (invite,) = requests(edge.register(ALICE), "INVITE")
    (ok,) = replies(edge.answer(invite, 200, "OK", f"Contact: <{ALICE.contact}>", body=SDP))
    recorded = invite.message.get("Record-Route")
    dialog = {"from_": ok.get("From"), "to": ok.get("To"), "call_id": ok.get("Call-ID")}
    ack = edge.request("ACK", ALICE.contact, f"Route: {recorded}", **dialog)
    assert len(requests(edge.kamailio.receive(ack, PBX), "ACK")) == 1
    turned = dialog | {"from_": dialog["to"], "to": dialog["from_"]}
    bye = edge.request("BYE", "sip:1001@192.0.2.7:5060", f"Route: {recorded}", **turned)
    (sent,) = requests(edge.kamailio.receive(bye, PHONE), "BYE")
    assert sent.to == "sip:1001@192.0.2.7:5060"


def from_the_pbx(edge: Edge, method: str, *headers: str, body: str = "") -> list[Sent]:
    """A request of the caller's, who is at the PBX."""
    text = edge.request(
        method,
        ALICE.contact,
        route(edge, caller="pbx"),
        *headers,
        body=body,
        from_="<sip:1001@192.0.2.7>;tag=pbx",
        to="<sip:x@nightbell.test>;tag=theirs",
        call_id="the-call",
    )
    return edge.kamailio.receive(text, PBX)


def test_s6_what_a_device_claims_in_an_answer_within_a_call_does_not_reach_the_pbx(edge: Edge) -> None:
    (invite,) = requests(
        from_the_pbx(edge, "INVITE", "P-Asserted-Identity: <sip:1001@pbx>", body=SDP), "INVITE"
    )
    assert invite.message.has("P-Asserted-Identity"), "the PBX may say who calls"
    claim = "P-Asserted-Identity: <sip:boss@pbx.example>"
    (ok,) = [r for r in replies(edge.answer(invite, 200, "OK", claim, body=SDP)) if r.code == 200]
    assert not ok.has("P-Asserted-Identity")


def test_s6_what_a_device_claims_in_a_request_within_a_call_does_not_reach_the_pbx(edge: Edge) -> None:
    (info,) = requests(in_dialog(edge, "INFO", route(edge), "P-Asserted-Identity: <sip:boss@x>"), "INFO")
    assert not info.message.has("P-Asserted-Identity")


def test_an_unanswerable_request_is_answered_once_however_often_it_is_sent(edge: Edge) -> None:
    assert codes(in_dialog(edge, "BYE")) == [481]


def test_a_request_that_cannot_be_sent_on_is_answered(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.kamailio.tm, "t_relay", lambda: -1)
    assert codes(in_dialog(edge, "INFO", route(edge)))[-1] == 500
    assert in_dialog(edge, "ACK", route(edge)) == []


@pytest.mark.parametrize("raised", ["1", ""])
def test_s1_a_prack_names_the_invite_by_the_number_the_pbx_knows_it_by(edge: Edge, raised: str) -> None:
    edge.kamailio.dialog.raised["the-call"] = raised
    by_device = route(edge, caller="t1", outbound=True)
    (prack,) = requests(in_dialog(edge, "PRACK", by_device, "RAck: 71 2 INVITE"), "PRACK")
    assert prack.message.all("RAck") == [f"71 {3 if raised else 2} INVITE"]


@pytest.mark.parametrize("text", ["", "71", "71 x INVITE", "71 2", "-1 2 INVITE", "9" * 5000 + " 2 INVITE"])
def test_s1_a_rack_that_cannot_be_read_stays_as_it_is(edge: Edge, text: str) -> None:
    edge.kamailio.dialog.raised["the-call"] = "1"
    by_device = route(edge, caller="t1", outbound=True)
    (prack,) = requests(in_dialog(edge, "PRACK", by_device, f"RAck: {text}"), "PRACK")
    assert prack.message.all("RAck") == [text]


def test_s1_the_pbxs_own_prack_is_not_renumbered(edge: Edge) -> None:
    edge.kamailio.dialog.raised["the-call"] = "1"
    text = edge.request(
        "PRACK",
        ALICE.contact,
        route(edge, caller="ours", outbound=True),
        "RAck: 71 2 INVITE",
        from_="<sip:1001@192.0.2.7>;tag=theirs",
        to="<sip:x@nightbell.test>;tag=ours",
        call_id="the-call",
    )
    (prack,) = requests(edge.kamailio.receive(text, PBX), "PRACK")
    assert prack.message.all("RAck") == ["71 2 INVITE"]
