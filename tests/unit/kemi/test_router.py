"""Which message goes to which concern, and what is answered to everything else."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kemi import main, router, wire
from kemi import settings as kemi_settings
from tests.fakes.edge import ALICE, CONNECTION, DOMAIN, PBX, PHONE, SDP, Edge, codes, connection, replies
from tests.fakes.kamailio.context import Origin

ANY_INPUT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def counters(edge: Edge) -> list[str]:
    return [event.name for event in edge.events_of(wire.CounterEvent)]


# ------------------------------------------------------------------------------------------- who is answered what


def test_s8_what_comes_out_of_our_turn_server_is_nobodys_word(tmp_path: Path) -> None:
    edge = Edge(tmp_path, turn_lowest=21000, turn_highest=21999)
    with contextlib.closing(edge):
        relayed, neighbour = Origin("127.0.7.1", 21500), Origin("127.0.7.1", 22000)
        assert edge.kamailio.receive(edge.request("OPTIONS", "sip:x@127.0.7.1"), relayed) == []
        assert counters(edge) == ["sip-through-turn"]
        assert codes(edge.kamailio.receive(edge.request("OPTIONS", "sip:x@127.0.7.1"), neighbour)) == [200]


def test_r5_the_pbxs_qualify_is_answered_while_every_device_sleeps(edge: Edge) -> None:
    edge.with_person(ALICE)
    (reply,) = replies(edge.kamailio.receive(edge.request("OPTIONS", f"sip:{CONNECTION}@127.0.7.1"), PBX))
    assert reply.code == 200
    assert "INVITE" in reply.get("Allow")


def test_r5_message_waiting_nobody_asked_for_is_accepted(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection())
    assert codes(edge.kamailio.receive(edge.request("NOTIFY", f"sip:{CONNECTION}@127.0.7.1"), PBX)) == [200]


@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH", "REFER", "FOO"])
@pytest.mark.parametrize("origin", [PBX, PHONE])
def test_methods_not_spoken_are_named_in_the_answer(edge: Edge, method: str, origin: Origin) -> None:
    edge.put("connection", CONNECTION, connection())
    (reply,) = replies(edge.kamailio.receive(edge.request(method, f"sip:{CONNECTION}@127.0.7.1"), origin))
    assert reply.code == 405
    assert "BYE" in reply.get("Allow")


def test_a_strangers_options_is_answered(edge: Edge) -> None:
    assert codes(edge.kamailio.receive(edge.request("OPTIONS", f"sip:{DOMAIN}"), PHONE)) == [200]


def test_s8_only_the_pbxs_own_addresses_may_call_a_connection(edge: Edge) -> None:
    edge.with_person(ALICE)
    for address in ("192.0.2.8", "192.0.2.70", "0.0.0.0", "127.0.0.1"):
        assert codes(edge.kamailio.receive(edge.invite_from_pbx(), Origin(address))) == [407]
    assert codes(edge.call_from_pbx()) == [100]


def test_s8_a_pbx_may_only_call_its_own_connections(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.put("connection", "cother", connection(sources=["192.0.2.99"]))
    text = edge.request("INVITE", "sip:cother@127.0.7.1:5060", body=SDP)
    assert codes(edge.kamailio.receive(text, PBX)) == [407]


def test_a_request_that_has_gone_round_too_often_is_stopped(edge: Edge) -> None:
    text = edge.request("OPTIONS", f"sip:{DOMAIN}").replace("Max-Forwards: 70", "Max-Forwards: 0")
    assert codes(edge.kamailio.receive(text)) == [483]


def test_a_cancel_without_a_call_is_not_answered(edge: Edge) -> None:
    assert edge.kamailio.receive(edge.request("CANCEL", f"sip:{DOMAIN}")) == []


def test_a_stray_ack_is_not_answered(edge: Edge) -> None:
    assert edge.kamailio.receive(edge.request("ACK", f"sip:{DOMAIN}")) == []


def test_an_ack_to_a_refusal_ends_here(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection())
    text = edge.invite_from_pbx()
    assert codes(edge.kamailio.receive(text, PBX)) == [100, 480]
    assert (
        edge.kamailio.receive(text.replace("INVITE sip", "ACK sip").replace("1 INVITE", "1 ACK"), PBX) == []
    )


def test_kamailio_says_hello_once_its_first_worker_is_there(edge: Edge) -> None:
    assert len(edge.events_of(wire.HelloEvent)) == 1
    edge.handler.child_init(2)
    assert edge.events() == []


# -------------------------------------------------------------------------------------------------- any input


def test_a_header_that_is_not_utf8_is_answered_400_and_counted(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.events()
    text = (
        edge.invite_from_pbx(from_='"NAME" <sip:1001@192.0.2.7>;tag=1').encode().replace(b"NAME", b"\xff\xfe")
    )
    assert codes(edge.kamailio.receive(text, PBX)) == [400]
    assert counters(edge) == ["malformed"]


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "BYE", "OPTIONS", "NOTIFY", "MESSAGE", "CANCEL"])
@pytest.mark.parametrize(
    "header",
    ["From", "To", "Contact", "Route", "Authorization", "Proxy-Authorization", "User-Agent", "Reason"],
)
def test_bytes_that_are_not_utf8_never_stop_a_worker(edge: Edge, method: str, header: str) -> None:
    edge.with_person(ALICE)
    bad = f'{header}: "BAD" <sip:BAD@192.0.2.7;x=BAD>;tag=BAD, Digest username="BAD"'
    text = edge.request(method, f"sip:{CONNECTION}@127.0.7.1", bad).encode().replace(b"BAD", b"\xc3\x28\xff")
    sent = edge.kamailio.receive(text, PBX)
    assert len([code for code in codes(sent) if code >= 200]) <= 1
    assert all(code < 500 for code in codes(sent))
    assert codes(edge.kamailio.receive(edge.request("OPTIONS", f"sip:{DOMAIN}"))) == [200], (
        "the next message is served"
    )


def test_a_malformed_request_is_answered_and_counted(edge: Edge) -> None:
    edge.events()
    text = edge.request("REGISTER", f"sip:{DOMAIN}", cseq="x REGISTER")
    assert codes(edge.kamailio.receive(text)) == [400]
    assert counters(edge) == ["malformed"]


@pytest.mark.parametrize("header", ["Contact", "User-Agent", "From", "X-Long"])
def test_an_oversized_header_gets_an_answer(edge: Edge, header: str) -> None:
    edge.with_person(ALICE)
    sent = edge.register(ALICE, f"{header}: <sip:{'x' * 60_000}@example.org>")
    assert len(codes(sent)) == 1
    assert codes(edge.register(ALICE)) == [200]


_methods = st.sampled_from(
    ["INVITE", "REGISTER", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "NOTIFY", "MESSAGE", "PRACK", "X"]
)
_bodies = st.one_of(
    st.text(st.characters(max_codepoint=127, exclude_characters="\r\n"), max_size=40),
    st.binary(max_size=30).map(
        lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").decode("utf-8", "surrogateescape")
    ),
    st.sampled_from(
        [
            f"<sip:{ALICE.id}@{DOMAIN}>;tag=a",
            "*",
            "<sip:a@b;pn-provider=apns;pn-prid=>",
            "<sip:127.0.7.1:5060;lr;nb=a.r.b>",
            f'Digest username="{ALICE.id}", realm="{DOMAIN}", nonce="fake-nonce-0", uri="x", response="y"',
            "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKsame",
            "0",
            "2 INVITE",
            "application/sdp",
        ]
    ),
)
_names = st.sampled_from(
    [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Route",
        "Expires",
        "Authorization",
        "Proxy-Authorization",
        "Reason",
        "X-Nightbell-Wake",
        "Content-Type",
        "Upgrade",
        "Max-Forwards",
    ]
)
_headers = st.lists(st.tuples(_names, _bodies), max_size=8)
_uris = st.sampled_from(
    [
        "sip:a",
        f"sip:{CONNECTION}@127.0.7.1",
        f"sip:600@{DOMAIN}",
        "sip:é@x",
        "sip:park@127.0.0.1:5099",
        "tel:1",
        "sip:",
    ]
)
_origins = st.sampled_from(
    [PBX, PHONE, Origin("127.0.0.1", 4040, "udp", 5099), Origin("198.51.100.9", 9, "ws", 5061)]
)


@given(_methods, _uris, _headers, _bodies, _origins)
@example("INVITE", "sip:park@127.0.0.1:5099", [], "", Origin("127.0.0.1", 4040, "udp", 5099))
@ANY_INPUT
def test_any_request_ends_in_at_most_one_final_answer(
    edge: Edge, method: str, uri: str, headers: list[tuple[str, str]], body: str, origin: Origin
) -> None:
    """The fake sees to it that every handler returned an int and left no lock behind."""
    edge.with_person(ALICE)
    lines = [f"{name}: {value}" for name, value in headers]
    text = f"{method} {uri} SIP/2.0\r\n" + "\r\n".join(lines) + "\r\n\r\n" + body
    sent = edge.kamailio.receive(text.encode("utf-8", "surrogateescape"), origin)
    finals = [s for s in sent if not s.message.is_request and s.message.code >= 200]
    assert len(finals) <= 1
    edge.events()


@given(_methods, _headers, _origins)
@ANY_INPUT
def test_any_well_formed_request_with_strange_headers_is_survived(
    edge: Edge, method: str, headers: list[tuple[str, str]], origin: Origin
) -> None:
    edge.with_person(ALICE)
    text = edge.request(method, f"sip:{CONNECTION}@127.0.7.1", *(f"{n}: {v}" for n, v in headers), body=SDP)
    sent = edge.kamailio.receive(text.encode("utf-8", "surrogateescape"), origin)
    finals = [s for s in sent if not s.message.is_request and s.message.code >= 200]
    assert len(finals) <= 1 + (method == "CANCEL")
    edge.events()


@given(st.integers(100, 699), _headers, _methods)
@ANY_INPUT
def test_any_stray_reply_is_survived(
    edge: Edge, code: int, headers: list[tuple[str, str]], method: str
) -> None:
    lines = [f"{name}: {value}" for name, value in headers]
    lines += ["Call-ID: nb-c8f2k1-000000000000", f"CSeq: 1 {method}"]
    text = f"SIP/2.0 {code} Why\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    assert edge.kamailio.receive(text.encode("utf-8", "surrogateescape"), PBX) == []
    edge.kamailio.run_timer("ksr_rtimer_registrar")
    edge.events()


@pytest.mark.parametrize("route", sorted(router.ROUTES))
def test_s12_every_handler_returns_an_int_even_where_it_makes_no_sense(edge: Edge, route: str) -> None:
    edge.kamailio.run_timer(route)


@pytest.mark.parametrize("route", sorted(router.ROUTES))
def test_s12_a_handler_called_before_its_process_was_prepared_returns_an_int(edge: Edge, route: str) -> None:
    del edge.handler.node
    edge.kamailio.run_timer(route)


def test_a_mistake_in_a_handler_is_answered_500_logged_and_counted(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.events()

    def mistaken() -> int:
        raise RuntimeError("mistake in a handler")

    monkeypatch.setattr(edge.kamailio.siputils, "has_totag", mistaken)
    assert codes(edge.kamailio.receive(edge.request("OPTIONS", f"sip:{DOMAIN}"))) == [500]
    assert counters(edge) == ["handler-error"]
    assert "RuntimeError: mistake in a handler" in edge.kamailio.errors[0]


def test_a_mistake_in_the_answer_to_a_mistake_ends_there(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> int:
        raise RuntimeError("mistake")

    monkeypatch.setattr(edge.kamailio.siputils, "has_totag", mistaken)
    monkeypatch.setattr(edge.kamailio.sl, "send_reply", mistaken)
    assert edge.kamailio.receive(edge.request("OPTIONS", f"sip:{DOMAIN}")) == []
    assert "no answer could be sent" in edge.kamailio.errors[1]


def test_a_mistake_over_an_ack_is_not_answered(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken() -> int:
        raise RuntimeError("mistake")

    monkeypatch.setattr(edge.kamailio.siputils, "has_totag", mistaken)
    assert edge.kamailio.receive(edge.request("ACK", f"sip:{DOMAIN}")) == []


def test_events_that_the_kernel_does_not_take_are_counted_and_nothing_else(edge: Edge) -> None:
    edge.with_person(ALICE)
    edge.node.events._socket.close()
    before = edge.node.events.lost
    assert codes(edge.register(ALICE)) == [200]
    assert edge.node.events.lost > before


def test_settings_that_cannot_be_used_end_the_start_and_are_logged(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NIGHTBELL_KEMI", raising=False)
    with pytest.raises(kemi_settings.SettingsError):
        main.mod_init()
    assert "NIGHTBELL_KEMI" in edge.kamailio.errors[0]


# ---------------------------------------------------------------------------------------------------- WebSocket


def test_s3_a_websocket_handshake_for_sip_is_completed(edge: Edge) -> None:
    text = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: x, SIP\r\n\r\n"
    edge.kamailio.run_http("ksr_xhttp_event", text)
    assert edge.kamailio.http_replies == [(101, "Switching Protocols")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        ("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", 426),
        ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sips, msrp\r\n\r\n", 400),
    ],
)
def test_s3_other_http_is_told_what_this_port_is(edge: Edge, text: str, code: int) -> None:
    edge.kamailio.run_http("ksr_xhttp_event", text)
    assert [reply for reply, _ in edge.kamailio.http_replies] == [code]


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("Origin: https://phone.example\r\n", 101),
        ("Origin: HTTPS://Phone.Example\r\n", 101),
        ("", 101),
        ("Origin: https://elsewhere.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: https://phone.example.elsewhere.example\r\n", 403),
    ],
)
def test_s3_a_page_from_elsewhere_may_not_connect(tmp_path: Path, origin: str, code: int) -> None:
    edge = Edge(tmp_path, origins="https://phone.example https://other.example")
    text = f"GET / HTTP/1.1\r\nUpgrade: websocket\r\n{origin}Sec-WebSocket-Protocol: sip\r\n\r\n"
    edge.kamailio.run_http("ksr_xhttp_event", text)
    assert [reply for reply, _ in edge.kamailio.http_replies] == [code]
    edge.close()
