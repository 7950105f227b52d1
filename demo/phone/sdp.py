"""The little of SDP that one G.711 audio stream needs (RFC 4566, RFC 3264)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from demo.phone.errors import UnreadableError

PCMU, PCMA = 0, 8  # static payload types (RFC 3551 §6)
_NAMES = {PCMU: "PCMU", PCMA: "PCMA"}
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_MIRRORED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


@dataclass(frozen=True)
class AudioStream:
    """One side's audio: where it wants RTP, the payload types in its order of preference, its direction."""

    address: str
    port: int
    payloads: tuple[int, ...]
    direction: str = "sendrecv"

    @property
    def is_held(self) -> bool:
        """Whether who described this stream does not want to hear the other side (RFC 3264 §8.4)."""
        return self.direction in ("sendonly", "inactive") or self.address == "0.0.0.0"  # noqa: S104 - old style hold

    def render(self, session: int, version: int) -> bytes:
        """The SDP of this stream; ``version`` grows by one with each description in the ``session``."""
        formats = " ".join(map(str, self.payloads))
        lines = [
            "v=0",
            f"o=- {session} {version} IN IP4 {self.address}",
            "s=-",
            f"c=IN IP4 {self.address}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {formats}",
            *(f"a=rtpmap:{payload} {_NAMES[payload]}/8000" for payload in self.payloads),
            "a=ptime:20",
            f"a={self.direction}",
        ]
        return ("\r\n".join(lines) + "\r\n").encode()


def parse(body: bytes) -> AudioStream:
    """The first audio stream of a session description. Raises UnreadableError when there is none."""
    session, *media = re.split(r"^m=", body.decode("utf-8", "replace"), flags=re.MULTILINE)
    for section in media:
        found = re.match(r"audio (\d+) RTP/AVPF? ([\d ]+)", section)
        if found is None:
            continue
        address = _last(r"^c=IN IP4 ([\d.]+)", section) or _last(r"^c=IN IP4 ([\d.]+)", session)
        if not address:
            raise UnreadableError("SDP: the audio stream has no IPv4 address (no c= line)")
        pattern = rf"^a=({'|'.join(_DIRECTIONS)})\s*$"
        direction = _last(pattern, section) or _last(pattern, session) or "sendrecv"
        payloads = tuple(int(payload) for payload in found.group(2).split())
        return AudioStream(address, int(found.group(1)), payloads, direction)
    raise UnreadableError("SDP: no RTP/AVP audio stream")


def common_payload(offered: AudioStream, ours: tuple[int, ...]) -> int | None:
    """The offer's most preferred payload type that we speak too, or None."""
    return next((payload for payload in offered.payloads if payload in ours), None)


def answering_direction(offered: str, holding: bool) -> str:
    """The direction to answer with (RFC 3264 §6.1); one who holds does not want to receive."""
    mirrored = _MIRRORED[offered]
    if not holding:
        return mirrored
    return {"sendrecv": "sendonly", "recvonly": "inactive"}.get(mirrored, mirrored)


def _last(pattern: str, text: str) -> str:
    found = re.findall(pattern, text, re.MULTILINE)
    return str(found[-1]) if found else ""
