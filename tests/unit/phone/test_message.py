"""Reading and writing SIP text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.phone import UnreadableError
from demo.phone.message import ExactURI, branch_of, build_response, parse, split_list, tag_of, uri_of

INVITE = (
    b"INVITE sip:bob@127.0.0.1:5062 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKabc;rport, SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKdef\r\n"
    b'f: "Doe, Alice" <sip:alice@nightbell.test>;tag=a1\r\n'
    b"t: <sip:bob@nightbell.test>\r\n"
    b"Record-Route: <sip:127.0.0.1;r2=on;lr;did=a1.b=;ftag=a1>,<sip:127.0.0.9;lr>\r\n"
    b"i: c1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Subject: one\r\n two\r\n"
    b"l: 0\r\n\r\n"
)


def test_reads_compact_and_folded_headers() -> None:
    message = parse(INVITE)
    assert message.headers["Call-ID"] == "c1"
    assert message.headers["Subject"] == "one two"
    assert branch_of(message) == "z9hG4bKabc"


def test_a_route_is_copied_exactly() -> None:
    message = parse(INVITE)
    assert split_list(message.headers.getlist("Record-Route")) == [
        "<sip:127.0.0.1;r2=on;lr;did=a1.b=;ftag=a1>",
        "<sip:127.0.0.9;lr>",
    ]


def test_a_uri_is_written_the_way_it_was_read() -> None:
    text = "sip:bob@127.0.0.1;alias=127.0.0.1~5062~1;pn-prid=T1:remote&T2:voip"
    uri = ExactURI.read(text)
    assert str(uri) == text
    assert uri.user == "bob"


def test_tag_and_uri_of_an_address() -> None:
    assert tag_of('"x;tag=no" <sip:a@b;tag=neither>;x=1;tag=yes') == "yes"
    assert not tag_of("<sip:a@b>")
    assert uri_of('"Bob" <sip:bob@h;p=1>;expires=3') == "sip:bob@h;p=1"
    assert uri_of("sip:bob@h;expires=3") == "sip:bob@h"


def test_a_response_takes_over_what_it_must_and_adds_its_tag() -> None:
    request = parse(INVITE)
    response = build_response(request, 180, tag="b2")  # type: ignore[arg-type]
    assert response.headers.getlist("Via") == request.headers.getlist("Via")
    assert response.headers.getlist("Record-Route") == request.headers.getlist("Record-Route")
    assert response.headers["To"] == "<sip:bob@nightbell.test>;tag=b2"
    assert "tag" not in build_response(request, 100, tag="b2").headers["To"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\r\n\r\n",
        b"INVITE sip:bob@h SIP/2.0\r\n\r\n",
        INVITE.replace(b"i: c1\r\n", b""),
        INVITE.replace(b"7 INVITE", b"seven"),
        INVITE.replace(b"one", b"\xff\xfe"),
        INVITE.replace(b"sip:bob@127.0.0.1:5062 ", b"nonsense "),
    ],
)
def test_what_is_no_sip_message_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    for data in (noise, INVITE[:80] + noise, INVITE + noise):
        try:
            parse(data)
        except UnreadableError:
            continue
