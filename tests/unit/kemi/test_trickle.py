"""Candidates that a device by WebRTC trickles by INFO: for rtpengine, and for nobody else."""

from __future__ import annotations

import pytest

from kemi.media_profile import Leg, Terms
from tests.fakes.edge import ALICE, PBX, SDP, Edge, codes, replies, requests
from tests.fakes.kamailio import Sent
from tests.unit.kemi.test_dialog import commands, in_dialog, route

WEBRTC = Terms(Leg.WEBRTC)
PACKAGE, TYPE = "Info-Package: trickle-ice", "Content-Type: application/trickle-ice-sdpfrag"
SECTION = (
    "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"
    "a=candidate:1 1 UDP 2130706431 203.0.113.100 5010 typ host\r\n"
)
DESCRIPTION = SDP + "a=ice-ufrag:8hhY\r\n"


def from_device(
    edge: Edge,
    method: str,
    *headers: str,
    body: str = "",
    media: Terms | None = WEBRTC,
    outbound: bool = True,
) -> list[Sent]:
    """A request of the device that has called; of the PBX that has, unless ``outbound``."""
    way = route(edge, media, caller="bobs", outbound=outbound)
    to, sender = f"<sip:x@{edge.node.settings.domain}>;tag=theirs", "<sip:bob@example.org>;tag=bobs"
    request = edge.request(
        method, ALICE.contact, way, *headers, body=body, to=to, from_=sender, call_id="the-call"
    )
    return edge.kamailio.receive(request, PBX)


def described(edge: Edge, description: str = DESCRIPTION) -> None:
    """The device has told of the ICE generation it is at."""
    (invite,) = requests(from_device(edge, "INVITE", body=description), "INVITE")
    edge.answer(invite, 200, "OK", body=SDP)
    edge.kamailio.rtpengine.commands.clear()
    edge.kamailio.rtpengine.descriptions.clear()


def told(edge: Edge) -> list[str]:
    """The candidates that rtpengine has been given."""
    rtpengine = edge.kamailio.rtpengine
    pairs = zip(rtpengine.commands, rtpengine.descriptions, strict=True)
    return [text for (_, flags, _), text in pairs if flags == "fragment"]


@pytest.mark.parametrize("headers", [(PACKAGE, TYPE), (TYPE,)], ids=["package", "type alone"])
def test_candidates_are_for_rtpengine_alone(edge: Edge, headers: tuple[str, ...]) -> None:
    described(edge)
    sent = from_device(edge, "INFO", *headers, body=SECTION)
    assert (codes(sent), requests(sent, "INFO")) == ([200], [])
    assert told(edge) == ["v=0\r\n" + SECTION]
    assert edge.kamailio.kex.debug is None, "errors stay out of the log for ever"


def test_no_news_is_good_news(edge: Edge) -> None:
    described(edge)
    assert codes(from_device(edge, "INFO", PACKAGE, TYPE, body=SECTION.partition("a=cand")[0])) == [200]
    assert commands(edge) == []


def test_those_of_another_generation_are_nothing_to_anybody(edge: Edge) -> None:
    described(edge)
    stale = SECTION.replace("8hhY", "former")
    assert codes(from_device(edge, "INFO", PACKAGE, TYPE, body=stale)) == [200]
    assert commands(edge) == []
    described(edge, SDP + "a=ice-ufrag:former\r\n")
    assert codes(from_device(edge, "INFO", PACKAGE, TYPE, body=stale)) == [200]
    assert told(edge) == ["v=0\r\n" + stale]


def test_those_that_come_before_the_description_wait_for_it(edge: Edge) -> None:
    for _ in range(2):
        assert codes(from_device(edge, "INFO", PACKAGE, TYPE, body=SECTION)) == [200]
    assert commands(edge) == []
    from_device(edge, "INVITE", body=DESCRIPTION)
    assert commands(edge) == ["offer", "offer"]
    assert told(edge) == ["v=0\r\n" + SECTION + SECTION]


def test_so_much_waits_and_no_more(edge: Edge) -> None:
    for _ in range(200):
        from_device(edge, "INFO", PACKAGE, TYPE, body=SECTION)
    from_device(edge, "INVITE", body=DESCRIPTION)
    (waited,) = told(edge)
    assert waited.startswith("v=0\r\n" + SECTION)
    assert len(waited) <= 4096 + 5


def test_an_offer_that_is_refused_leaves_the_generation_that_was(edge: Edge) -> None:
    described(edge)
    restart = DESCRIPTION.replace("8hhY", "another")
    (invite,) = requests(from_device(edge, "INVITE", body=restart), "INVITE")
    edge.answer(invite, 488, "Not Acceptable Here")
    edge.kamailio.rtpengine.commands.clear()
    edge.kamailio.rtpengine.descriptions.clear()
    assert codes(from_device(edge, "INFO", PACKAGE, TYPE, body=SECTION)) == [200]
    assert told(edge) == ["v=0\r\n" + SECTION]


def test_with_the_call_its_generations_are_over(edge: Edge) -> None:
    described(edge)
    from_device(edge, "BYE")
    assert edge.kamailio.htable.sht_get("ice", "the-call bobs") in (None, "")


def test_a_relay_that_does_not_answer_is_said_to(edge: Edge) -> None:
    described(edge)
    edge.kamailio.rtpengine.away = True
    assert codes(from_device(edge, "INFO", PACKAGE, TYPE, body=SECTION)) == [500]
    assert edge.kamailio.kex.debug is None


@pytest.mark.parametrize(
    ("headers", "body", "code", "says"),
    [
        ((PACKAGE, TYPE), "what is this", 400, 'SIP;cause=400;text="a line is no line'),
        ((PACKAGE, TYPE), SECTION.replace("a=mid:0\r\n", ""), 400, "no a=mid"),
        ((PACKAGE, "Content-Type: application/sdp"), SECTION, 415, "application/trickle-ice-sdpfrag"),
        ((PACKAGE,), "", 415, "application/trickle-ice-sdpfrag"),
    ],
)
def test_a_bad_fragment_is_refused(
    edge: Edge, headers: tuple[str, ...], body: str, code: int, says: str
) -> None:
    described(edge)
    (reply,) = replies(from_device(edge, "INFO", *headers, body=body))
    assert reply.code == code
    assert says in "\n".join(reply.all("Reason") + reply.all("Accept"))
    assert commands(edge) == []


def test_who_does_not_speak_webrtc_has_nobody_to_trickle_to(edge: Edge) -> None:
    assert codes(from_device(edge, "INFO", PACKAGE, TYPE, body=SECTION, media=Terms())) == [469]
    assert codes(from_device(edge, "INFO", PACKAGE, TYPE, body=SECTION, outbound=False)) == [469]
    assert commands(edge) == []


def test_what_is_not_relayed_and_what_is_not_candidates_goes_on(edge: Edge) -> None:
    assert len(requests(from_device(edge, "INFO", PACKAGE, TYPE, body=SECTION, media=None), "INFO")) == 1
    assert len(requests(from_device(edge, "INFO", "Info-Package: infoDtmf", body="x"), "INFO")) == 1
    assert commands(edge) == []


def test_of_no_call_that_is_known_it_is_refused(edge: Edge) -> None:
    assert codes(in_dialog(edge, "INFO", PACKAGE, TYPE, body=SECTION)) == [481]


def test_the_pbx_does_not_read_of_it_and_the_device_is_told_that_it_may(edge: Edge) -> None:
    theirs = ("Supported: timer, trickle-ice", "Require: trickle-ice", "Recv-Info: trickle-ice, infoDtmf")
    (invite,) = requests(from_device(edge, "INVITE", *theirs, body=DESCRIPTION), "INVITE")
    message = invite.message
    assert (message.all("Supported"), message.all("Recv-Info")) == (["timer"], ["infoDtmf"])
    assert not message.has("Require")
    (ok,) = edge.answer(invite, 200, "OK", "Supported: 100rel", body=SDP)
    assert ok.message.all("Supported") == ["100rel", "trickle-ice"]
    assert ok.message.all("Recv-Info") == ["trickle-ice"]


def test_other_devices_keep_their_headers_and_get_none(edge: Edge) -> None:
    (invite,) = requests(
        from_device(edge, "INVITE", "Recv-Info: trickle-ice", body=SDP, media=Terms()), "INVITE"
    )
    assert invite.message.all("Recv-Info") == ["trickle-ice"]
    (ok,) = edge.answer(invite, 200, "OK", body=SDP)
    assert not ok.message.has("Recv-Info")
