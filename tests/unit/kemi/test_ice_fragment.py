"""What an INFO of trickle ICE holds for rtpengine (RFC 8840, 9)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import ice_fragment
from kemi.ice_fragment import BadFragmentError

CREDENTIALS = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n"
HOST = "a=candidate:1 1 UDP 2130706431 203.0.113.100 5010 typ host\r\n"
REFLEXIVE = "a=candidate:2 1 udp 1694498815 2001:db8::1 5011 typ srflx raddr 10.0.1.1 rport 8998\r\n"
RTCP = "a=candidate:1 2 UDP 2130706430 203.0.113.100 5011 typ host\r\n"
MEDIA = "m=audio 9 RTP/AVP 0\r\n"
END = "a=end-of-candidates\r\n"


def section(*lines: str, mid: str = "0") -> str:
    return f"{MEDIA}a=mid:{mid}\r\n{CREDENTIALS}{''.join(lines)}"


def test_a_section_is_whole_wherever_its_credentials_stand() -> None:
    wanted = section(HOST, REFLEXIVE)
    for body in (
        CREDENTIALS + MEDIA + "a=mid:0\r\n" + HOST + REFLEXIVE + END,
        MEDIA + HOST + CREDENTIALS + REFLEXIVE + "a=mid:0\r\n",
        (CREDENTIALS + MEDIA + "a=mid:0\r\n" + HOST + REFLEXIVE).replace("\r\n", "\n").rstrip("\n"),
    ):
        assert ice_fragment.read(body).sections == wanted
        assert ice_fragment.read(body).ufrags == {"8hhY"}


def test_every_stream_that_has_news_is_told_of() -> None:
    video = f"m=video 9 RTP/AVP 31\r\na=mid:1\r\n{HOST}{RTCP}"
    text = f"m=text 9 RTP/AVP 98\r\na=mid:2\r\n{END}"
    read = ice_fragment.read(f"{CREDENTIALS}{MEDIA}a=mid:0\r\n{HOST}{video}{text}")
    assert read.sections == section(HOST) + section(HOST, RTCP, mid="1")


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 UDP 2130706431 6f1ab0d4-9a1e-4e0b-8a60-6e4f2b1d1f3a.local 5010 typ host",
        "1 1 TCP 1518280447 203.0.113.100 9 typ host tcptype active",
        "1 1 UDP 2130706431 fe80::1%eth0 5010 typ host",
        "2 1 UDP 1694498815 203.0.113.100 5010 typ srflx",
        "2 1 UDP 1694498815 203.0.113.100 5010 typ starlight raddr 10.0.1.1 rport 8998",
        "1 2 UDP 2130706430 203.0.113.100 5011 typ host",
    ],
    ids=["a name", "tcp", "an address of one link", "from nowhere", "of no kind", "rtcp alone"],
)
def test_what_rtpengine_cannot_use_is_left_out(candidate: str) -> None:
    line = f"a=candidate:{candidate}\r\n"
    assert ice_fragment.read(section(line, END)).sections == ""
    assert HOST in ice_fragment.read(section(line, HOST)).sections


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "no m= line"),
        (CREDENTIALS + HOST, "no m= line"),
        (MEDIA + CREDENTIALS + HOST, "no a=mid"),
        (MEDIA + "a=mid:0\r\n" + HOST, "no a=ice-ufrag"),
        (MEDIA + "a=mid:0\r\na=ice-ufrag:8hhY\r\n" + HOST, "no a=ice-pwd"),
        (MEDIA + "a=mid:0\r\na=ice-ufrag:8h hY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n", "no a=ice-ufrag"),
        (section("a=candidate:here I am\r\n"), "cannot be read"),
        (section(HOST.replace("typ host", "typ host \0 0")), "cannot be read"),
        (section("I am here\r\n"), "no line"),
    ],
)
def test_what_is_wrong_is_said(body: str, why: str) -> None:
    with pytest.raises(BadFragmentError, match=why):
        ice_fragment.read(body)


@given(st.text(alphabet="am=:id candte-01UP\r\n\0é") | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for body in (text, section(f"a=candidate:{text}\r\n")):
        with suppress(BadFragmentError):
            assert "\0" not in ice_fragment.read(body).sections
