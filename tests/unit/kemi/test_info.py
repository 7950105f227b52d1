"""INFO within a call: a key press is held for the edge agent where the other side takes events; all else goes on."""

from __future__ import annotations

import pytest

from kemi import call_mark, wire
from kemi.call_mark import Mark
from kemi.media_profile import Dtmf, Terms
from tests.fakes.edge import ALICE, PBX, PHONE, SDP, Edge, codes, replies, requests
from tests.fakes.kamailio import Sent

CALL = "00d1a2b3c4e5f607"
EVENTS = SDP.replace("AVP 0", "AVP 0 101") + "a=rtpmap:101 telephone-event/8000\r\n"
RELAY = "application/dtmf-relay"
USUAL = Terms()


def within_call(
    edge: Edge,
    method: str,
    *headers: str,
    body: str = "",
    terms: Terms | None = USUAL,
    of_pbx: bool = False,
) -> list[Sent]:
    """A request in a call that the device, whose tag is ``devices``, has placed."""
    tags = ("pbxs", "devices") if of_pbx else ("devices", "pbxs")
    mark = Mark(CALL, terms, outbound=True, caller=call_mark.short_tag("devices"))
    route = f"<sip:127.0.7.1:5060;lr;nb={call_mark.seal(mark, 'the-call', edge.node.key)}>"
    domain = edge.node.settings.domain
    text = edge.request(
        method,
        ALICE.contact if of_pbx else "sip:1001@192.0.2.7:5060",
        f"Route: {route}",
        *headers,
        body=body,
        from_=f"<sip:x@{domain}>;tag={tags[0]}",
        to=f"<sip:y@{domain}>;tag={tags[1]}",
        call_id="the-call",
    )
    if headers:
        text = text.replace("Content-Type: application/sdp\r\n", "")
    return edge.kamailio.receive(text, PBX if of_pbx else PHONE)


def agreed(edge: Edge, terms: Terms = USUAL, offer: str = EVENTS, answer: str = EVENTS) -> None:
    """The two sides describe themselves, the device first."""
    (invite,) = requests(within_call(edge, "INVITE", body=offer, terms=terms), "INVITE")
    edge.answer(invite, 200, "OK", body=answer, origin=PBX)
    edge.events()


def press(
    edge: Edge, body: str = "Signal=5\r\nDuration=120\r\n", kind: str = RELAY, **more: object
) -> list[Sent]:
    return within_call(edge, "INFO", f"Content-Type: {kind}", body=body, **more)  # type: ignore[arg-type]


def test_a_key_is_held_and_told_of_and_answered_when_it_was_sent(edge: Edge) -> None:
    agreed(edge)
    assert press(edge) == []
    (event,) = edge.events_of(wire.KeyPressEvent)
    assert (event.call, event.sip_call_id, event.tag) == (CALL, "the-call", "devices")
    assert (event.key, event.milliseconds) == ("5", 120)
    assert "key=" not in repr(event)
    assert codes(edge.kamailio.order(event.transaction, 200, "OK")) == [200]


def test_a_key_that_nobody_takes_goes_on_as_it_came(edge: Edge) -> None:
    agreed(edge)
    press(edge)
    (info,) = requests(edge.kamailio.advance(wire.KEY_PRESS_HELD_MS / 1000 + 0.1), "INFO")
    assert info.message.body == "Signal=5\r\nDuration=120\r\n"
    assert info.to == "sip:1001@192.0.2.7:5060"
    assert codes(edge.answer(info, 200, "OK", origin=PBX)) == [200]


def test_a_retransmission_while_it_is_held_is_no_second_key(edge: Edge) -> None:
    agreed(edge)
    press(edge)
    edge._numbers -= 1  # the same Via branch
    assert requests(press(edge), "INFO") == []
    assert len(edge.events_of(wire.KeyPressEvent)) == 1


@pytest.mark.parametrize(
    ("offer", "answer", "terms"),
    [
        (EVENTS, SDP, Terms()),  # the PBX knows no events
        (EVENTS, EVENTS, Terms(pbx_dtmf=Dtmf.AS_SENT)),
        (EVENTS, EVENTS.replace("telephone-event/8000", "telephone-event/48000"), Terms()),
        (EVENTS, EVENTS.replace("AVP 0", "AVP 18 0"), Terms()),  # what rtpengine does not know is spoken
    ],
)
def test_a_pbx_that_takes_no_events_gets_the_info(edge: Edge, offer: str, answer: str, terms: Terms) -> None:
    agreed(edge, terms, offer, answer)
    assert len(requests(press(edge, terms=terms), "INFO")) == 1


def test_a_pbx_that_leaves_events_out_later_gets_the_info(edge: Edge) -> None:
    agreed(edge)
    agreed(edge, answer=SDP)
    assert len(requests(press(edge), "INFO")) == 1


@pytest.mark.parametrize("dtmf", Dtmf)
def test_a_device_gets_the_pbxs_keys_as_events_only_where_it_is_set_so(edge: Edge, dtmf: Dtmf) -> None:
    terms = Terms(device_dtmf=dtmf)
    agreed(edge, terms)
    went_on = requests(press(edge, terms=terms, of_pbx=True), "INFO")
    assert bool(went_on) == (dtmf is Dtmf.AS_SENT)


@pytest.mark.parametrize(
    ("kind", "body", "headers"),
    [
        ("application/media_control+xml", "<media_control/>", ()),
        ("application/foo", "bar", ("Info-Package: foo",)),
        (RELAY, "Signal=16\r\nDuration=200\r\n", ()),
        (RELAY, "", ()),
    ],
)
def test_other_infos_go_on_untouched(edge: Edge, kind: str, body: str, headers: tuple[str, ...]) -> None:
    agreed(edge)
    (info,) = requests(within_call(edge, "INFO", f"Content-Type: {kind}", *headers, body=body), "INFO")
    assert (info.message.body, info.message.get("Content-Type")) == (body, kind)
    assert edge.events_of(wire.KeyPressEvent) == []


@pytest.mark.parametrize(
    ("body", "encoding", "code"), [("Signal=x\r\n", "", 400), ("Signal=5\r\n", "Content-Encoding: gzip", 415)]
)
def test_a_bad_key_is_refused_with_its_reason(edge: Edge, body: str, encoding: str, code: int) -> None:
    agreed(edge)
    headers = [f"Content-Type: {RELAY}", *([encoding] if encoding else [])]
    (refused,) = replies(within_call(edge, "INFO", *headers, body=body))
    assert refused.code == code
    assert f"cause={code}" in refused.get("Reason")
    assert edge.events_of(wire.KeyPressEvent) == []


def test_a_side_is_given_events_though_the_other_has_none_where_it_is_set_so(edge: Edge) -> None:
    def asked(offer: str, answer: str, terms: Terms) -> list[list[str]]:
        edge.kamailio.rtpengine.commands.clear()
        agreed(edge, terms, offer, answer)
        return [
            [flag for flag in flags.split() if "telephone-event" in flag]
            for _, flags, _ in edge.kamailio.rtpengine.commands
        ]

    for offer in (EVENTS, SDP):
        for answer in (EVENTS, SDP):
            assert asked(offer, answer, USUAL) == [[], []]
    always = Terms(pbx_dtmf=Dtmf.ALWAYS, device_dtmf=Dtmf.ALWAYS)
    assert asked(SDP, EVENTS, always) == [["codec-transcode-telephone-event"], []]
    assert requests(press(edge, terms=always), "INFO") == []
    assert asked(EVENTS, SDP, always) == [["codec-accept-telephone-event"], []]
    assert requests(press(edge, terms=always, of_pbx=True), "INFO") == []
    assert len(requests(press(edge, terms=always), "INFO")) == 1
