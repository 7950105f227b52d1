"""What a session description (RFC 4566) says that decides how its media is carried on. Pure; never fails, whatever the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

EVENTS = "telephone-event"  # the name of key presses in the audio stream (RFC 4733)
_STREAM = re.compile(r"^([a-z]+) (\d+)\S* ([\w/]+)((?: [\w.+-]+)*)", re.ASCII)
_NAME = re.compile(r"^a=rtpmap:(\d+) ([\w.+-]+)(?:/(\d+))?", re.MULTILINE | re.ASCII)
_SECURED = re.compile(r"^a=(fingerprint|crypto|ice-ufrag):", re.MULTILINE)
_FINGERPRINT = re.compile(r"^a=fingerprint:\S+ ([\da-fA-F:]+)", re.MULTILINE | re.ASCII)
_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)
_ADDRESS = re.compile(r"^c=IN IP[46] ([\da-fA-F.:]+)", re.MULTILINE | re.ASCII)
# Payload types that need no a=rtpmap, and the clock of each, Hz (RFC 3551, 6).
_STATIC_CLOCK = "8000"
_STATIC = {"0": "PCMU", "3": "GSM", "8": "PCMA", "9": "G722", "13": "CN", "18": "G729"}


@dataclass(frozen=True)
class Stream:
    """One m= section: its kind (``audio``, ``video``, ``image`` …), port, protocol, and codecs in the order offered.

    ``eventful`` are those codecs beside which telephone-events (RFC 4733) can go, which need the clock of theirs.
    """

    kind: str
    port: int
    protocol: str
    codecs: tuple[str, ...]
    eventful: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """The streams that are wanted (port not 0); whether keys come by DTLS (``fingerprint``) or in the text (``crypto``).

    ``ice``: addresses are agreed upon by ICE (RFC 8445), in the generation that ``ufrags`` name; otherwise the sender's are
    ``addresses``.
    """

    streams: tuple[Stream, ...] = ()
    dtls: bool = False
    sdes: bool = False
    ice: bool = False
    addresses: frozenset[str] = frozenset()
    ufrags: frozenset[str] = frozenset()

    @property
    def audio(self) -> Stream | None:
        """The first audio stream."""
        return next((stream for stream in self.streams if stream.kind == "audio"), None)

    @property
    def is_fax(self) -> bool:
        """Whether it is about T.38 alone."""
        return bool(self.streams) and all(stream.kind == "image" for stream in self.streams)


@lru_cache(maxsize=64)
def read(body: str) -> Description:
    """Read a description: what cannot be read is absent."""
    text = body.replace("\r", "")
    _, *sections = ("\n" + text).split("\nm=")
    streams = tuple(stream for section in sections if (stream := _stream(section)) is not None)
    secured = set(_SECURED.findall(text))
    return Description(
        streams,
        dtls="fingerprint" in secured,
        sdes="crypto" in secured,
        ice="ice-ufrag" in secured,
        addresses=frozenset(_ADDRESS.findall(text)),
        ufrags=frozenset(_UFRAG.findall(text)),
    )


def with_tls_id(body: str) -> str:
    """The same with a name for its DTLS association (RFC 8842), where it has keys by DTLS and no name of its own.

    Browsers give none, and keep the association when they restart ICE; without one rtpengine would begin another, alone.
    The name lasts as long as the certificate. No side is told of it: rtpengine writes its own. NUL, which no text of
    Kamailio's can have, is left out.
    """
    body = body.replace("\0", "")
    fingerprint = _FINGERPRINT.search(body)
    session, first, rest = body.partition("\nm=")
    if fingerprint is None or not first or "\na=tls-id:" in body:
        return body
    return f"{session}\na=tls-id:{fingerprint[1].replace(':', '').lower()}\r{first}{rest}"


def with_candidate(body: str, address: str) -> str:
    """The same with an address to begin with, where it has ICE and none: the sender tells them later, if at all (RFC 8838).

    His own checks tell where he is; but without any address rtpengine waits for checks of RTCP, which has no port of its own.
    ``address`` is where the message came from.
    """
    if "\na=ice-ufrag:" not in body or "\na=candidate:" in body:
        return body
    session, *sections = body.split("\nm=")
    candidate = f"a=candidate:0 1 UDP 1 {address} 9 typ host"
    return "\nm=".join((session, *(f"{section.rstrip()}\r\n{candidate}\r" for section in sections))) + "\n"


def _stream(section: str) -> Stream | None:
    found = _STREAM.match(section)
    if found is None or found[2].strip("0") == "":
        return None
    mapped = {payload: (name, clock) for payload, name, clock in _NAME.findall(section)}
    listed = [mapped.get(each) or (_STATIC.get(each, each), _STATIC_CLOCK) for each in found[4].split()]
    codecs = tuple(dict.fromkeys(name for name, _ in listed))
    clocks = {clock for name, clock in listed if name.lower() == EVENTS}
    eventful = tuple(name for name, clock in listed if clock in clocks)
    return Stream(found[1], int(found[2][:6]), found[3], codecs, eventful)
