"""Session descriptions of one G.711 stream."""

from __future__ import annotations

import pytest

from demo.phone import UnreadableError
from demo.phone.sdp import PCMA, PCMU, AudioStream, answering_direction, common_payload, parse


def test_what_is_written_is_read_again() -> None:
    stream = AudioStream("127.0.0.5", 40002, (PCMU, PCMA), "sendonly")
    assert parse(stream.render(session=1, version=2)) == stream


def test_the_streams_own_lines_win_over_the_sessions() -> None:
    body = (
        b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\na=sendonly\r\nt=0 0\r\n"
        b"m=video 9 RTP/AVP 96\r\na=inactive\r\n"
        b"m=audio 4000 RTP/AVP 111 8 0 101\r\nc=IN IP4 10.0.0.2\r\na=recvonly\r\n"
    )
    assert parse(body) == AudioStream("10.0.0.2", 4000, (111, 8, 0, 101), "recvonly")


def test_the_sessions_direction_holds_when_the_stream_has_none() -> None:
    body = b"v=0\r\nc=IN IP4 10.0.0.1\r\na=inactive\r\nm=audio 4000 RTP/AVP 0\r\n"
    assert parse(body).is_held


def test_the_old_style_of_hold_is_known() -> None:
    assert parse(b"v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\n").is_held


@pytest.mark.parametrize(
    "body", [b"", b"v=0\r\n", b"m=audio 1 RTP/AVP 0\r\n", b"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", b"\xff"]
)
def test_no_usable_audio_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse(body)


def test_the_offerers_preference_decides() -> None:
    offer = AudioStream("127.0.0.1", 4000, (9, PCMA, PCMU))
    assert common_payload(offer, (PCMU, PCMA)) == PCMA
    assert common_payload(offer, (18,)) is None


@pytest.mark.parametrize(
    ("offered", "free", "holding"),
    [
        ("sendrecv", "sendrecv", "sendonly"),
        ("sendonly", "recvonly", "inactive"),
        ("recvonly", "sendonly", "sendonly"),
        ("inactive", "inactive", "inactive"),
    ],
)
def test_directions_of_an_answer(offered: str, free: str, holding: str) -> None:
    assert answering_direction(offered, holding=False) == free
    assert answering_direction(offered, holding=True) == holding
