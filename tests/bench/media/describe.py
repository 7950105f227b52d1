"""Session descriptions for load: made for one codec, and read for the port and the payload type."""

from __future__ import annotations

import re

from tests.bench.edge import BenchError
from tests.bench.sip import Address

PCMA_TYPE = 8
_OPUS = re.compile(rb"a=rtpmap:(\d+) opus/48000/2", re.IGNORECASE)


def pcma(at: Address) -> bytes:
    """G.711 A-law alone."""
    return _sdp(at, 8, "a=rtpmap:8 PCMA/8000\r\n")


def opus(at: Address, payload_type: int) -> bytes:
    """Opus alone, under the number that the offer gave it."""
    return _sdp(at, payload_type, f"a=rtpmap:{payload_type} opus/48000/2\r\n")


def place(description: bytes) -> Address:
    """Where the audio is to be sent. Raises BenchError."""
    address = re.search(rb"c=IN IP4 (\S+)", description)
    port = re.search(rb"m=audio (\d+)", description)
    if address is None or port is None or port[1] == b"0":
        raise BenchError(f"a description without audio: {description[:300]!r}")
    return address[1].decode(), int(port[1])


def opus_type(offer: bytes) -> int:
    """The number of Opus in an offer. Raises BenchError when it is not offered."""
    found = _OPUS.search(offer)
    if found is None:
        raise BenchError(f"the device is not offered Opus: {offer[:400]!r}")
    return int(found[1])


def _sdp(at: Address, payload_type: int, maps: str) -> bytes:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {at[0]}\r\ns=-\r\nc=IN IP4 {at[0]}\r\nt=0 0\r\n"
        f"m=audio {at[1]} RTP/AVP {payload_type}\r\n{maps}a=ptime:20\r\na=sendrecv\r\n"
    ).encode()
