"""How the media of one side is handed to the other: what rtpengine is asked for. Pure.

Both sides are told of the codecs they share, so that nothing is transcoded; of others only where a side would else have
none it must know (G.711 by phones and PBXs, some of which want G.722 alone; Opus by browsers, RFC 7874).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from kemi import contact
from kemi.sdp import EVENTS, Description

# "replace-*" hides the far end's addresses; without the padding of SDES keys some phones take one of 46 octets for one of 44.
# rtpengine remembers what it offered to whom, so answers need no more.
ANSWER = "replace-origin replace-session-connection SDES-pad"

# Suites of rtpengine's that do not encrypt at all, and some that nobody uses.
_UNWANTED = (
    "NULL_HMAC_SHA1_80",
    "NULL_HMAC_SHA1_32",
    "F8_128_HMAC_SHA1_80",
    "F8_128_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_32",
)
_OFFER = " ".join((ANSWER, *(f"SDES-no-{suite}" for suite in _UNWANTED)))
# Within a call it keeps to the codecs agreed on while they are offered: browsers offer Opus first, whatever is spoken.
_AGAIN = "reuse-codecs"

# What rtpengine can transcode.
CODECS = ("opus", "PCMU", "PCMA", "G722")
_KNOWN = frozenset(codec.lower() for codec in CODECS)
_G711 = ("PCMU", "PCMA")
_OF_PHONES = (*_G711, "G722")
_BESIDE = (
    EVENTS,
    "CN",
)  # no codecs of their own: key presses (RFC 4733), comfort noise (RFC 3389)


class Leg(Enum):
    """How one side wants its RTP."""

    PLAIN = "plain"
    SDES = "sdes"  # encrypted, its keys in the description (RFC 4568)
    WEBRTC = "webrtc"  # encrypted by DTLS, with ICE (RFC 8827)


_PROTOCOL = {Leg.PLAIN: "RTP/AVP", Leg.SDES: "DTLS=off RTP/SAVP", Leg.WEBRTC: "SDES-off UDP/TLS/RTP/SAVPF"}
_WAY = {
    Leg.PLAIN: "ICE=remove rtcp-mux-demux",
    Leg.SDES: "ICE=remove rtcp-mux-demux",
    Leg.WEBRTC: "ICE=force trickle-ICE rtcp-mux-offer rtcp-mux-accept generate-mid",
}


class Dtmf(Enum):
    """How one side gets the keys that the other has sent by INFO."""

    AS_SENT = "i"  # by INFO
    AGREED = "a"  # as telephone-events (RFC 4733) where both sides have agreed on them, else by INFO
    # As telephone-events where that side alone knows them, too, which is transcoded.
    ALWAYS = "e"


_LEGS = {"p": Leg.PLAIN, "s": Leg.SDES, "w": Leg.WEBRTC}
_LETTERS = dict(zip("ouag", CODECS, strict=True))


class Policy(Protocol):
    """What the settings say of one side's media: the document of a device or a connection, or an errand for its caller.

    ``codecs`` are the only ones it is offered, empty: any; ``dtmf`` is how it gets keys that are sent by INFO.
    """

    @property
    def codecs(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def dtmf(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Terms:
    """On what terms a device and its PBX have their media: what the device takes, and the codec policy of either, empty: any."""

    device: Leg = Leg.PLAIN
    device_codecs: tuple[str, ...] = ()
    pbx_codecs: tuple[str, ...] = ()
    device_dtmf: Dtmf = Dtmf.AS_SENT
    pbx_dtmf: Dtmf = Dtmf.AGREED

    def __str__(self) -> str:
        """A few letters that ``read`` understands, such as ``wou-a`` or ``wou-a-ie``."""
        leg = next(letter for letter, leg in _LEGS.items() if leg is self.device)
        plain = f"{leg}{_letters(self.device_codecs)}-{_letters(self.pbx_codecs)}"
        keys = f"{self.device_dtmf.value}{self.pbx_dtmf.value}"
        return plain if keys == _USUAL_DTMF else f"{plain}-{keys}"

    @classmethod
    def of_pbx(cls, pbx: Policy) -> Terms:
        """What is known before the device is."""
        dtmf = {"rfc4733": Dtmf.ALWAYS, "info": Dtmf.AS_SENT}.get(pbx.dtmf, Dtmf.AGREED)
        return cls(pbx_codecs=tuple(pbx.codecs), pbx_dtmf=dtmf)

    def with_device(self, leg: Leg, device: Policy) -> Terms:
        """The same with a device that takes ``leg``. Of keys sent by INFO a page in a browser learns, of events it does not."""
        dtmf = Dtmf.ALWAYS if device.dtmf == "rfc4733" else Dtmf.AS_SENT
        return replace(self, device=leg, device_codecs=tuple(device.codecs), device_dtmf=dtmf)

    @classmethod
    def read(cls, text: str) -> Terms:
        """The terms in such letters; those it does not know mean nothing."""
        device, _, rest = text[1:].partition("-")
        pbx, _, keys = rest.partition("-")
        dtmf = (_DTMF[letter] for letter in (keys if _KEYS.fullmatch(keys) else _USUAL_DTMF))
        return cls(_LEGS.get(text[:1], Leg.PLAIN), _named(device), _named(pbx), *dtmf)

    def receiver(self, to_device: bool) -> tuple[Leg, tuple[str, ...]]:
        """What the side takes that a description goes to."""
        return (self.device, self.device_codecs) if to_device else (Leg.PLAIN, self.pbx_codecs)

    def offer(self, description: Description, to_device: bool) -> str:
        """The flags to hand on the first offer of a call with."""
        leg, codecs = self.receiver(to_device)
        flags = offer(description, leg, self.pbx_codecs if to_device else self.device_codecs, codecs)
        return " ".join((flags, *self._events(description, to_device)))

    def offer_again(self, description: Description, to_device: bool) -> str:
        """The same within a call; rtpengine remembers the protocol, which may be another than such a side usually has."""
        leg, codecs = self.receiver(to_device)
        sender = self.pbx_codecs if to_device else self.device_codecs
        codec_flags = _codecs(description, leg, sender, codecs)
        return " ".join((_OFFER, _AGAIN, _WAY[leg], *codec_flags, *self._events(description, to_device)))

    def takes_events(self, offer: Description, answer: Description, *, of_device: bool, device: bool) -> bool:
        """Whether keys sent by INFO to the device, or else the PBX, are to reach it as events, after this exchange.

        ``of_device``: the device has made the offer. rtpengine can send events beside the codecs that it knows.
        """
        dtmf = self.device_dtmf if device else self.pbx_dtmf
        spoken = answer.audio.codecs[:1] if answer.audio is not None else ()
        if dtmf is Dtmf.AS_SENT or answer.audio is None or not {c.lower() for c in spoken} & _KNOWN:
            return False
        if device != of_device:
            return _is_eventful(answer)
        return _is_eventful(offer) and (dtmf is Dtmf.ALWAYS or EVENTS in answer.audio.codecs)

    def _events(self, description: Description, to_device: bool) -> list[str]:
        """The flags that let a side have events though the other knows none."""
        sender, receiver = self.device_dtmf, self.pbx_dtmf
        if to_device:
            sender, receiver = receiver, sender
        eventful = _is_eventful(description)
        flags = [f"codec-accept-{EVENTS}"] if eventful and sender is Dtmf.ALWAYS else []
        if not eventful and receiver is Dtmf.ALWAYS and description.audio is not None:
            flags.append(f"codec-transcode-{EVENTS}")
        return flags


_DTMF = {dtmf.value: dtmf for dtmf in Dtmf}
_USUAL_DTMF = f"{Terms.device_dtmf.value}{Terms.pbx_dtmf.value}"
_KEYS = re.compile(f"[{''.join(_DTMF)}]{{2}}")


def _is_eventful(description: Description) -> bool:
    """Whether it has telephone-events beside each of its codecs that rtpengine knows."""
    audio = description.audio
    known = [codec for codec in audio.codecs if codec.lower() in _KNOWN] if audio is not None else []
    return audio is not None and bool(known) and all(codec in audio.eventful for codec in known)


def _letters(codecs: Sequence[str]) -> str:
    return "".join(letter for codec in codecs for letter, name in _LETTERS.items() if name == codec)


def _named(letters: str) -> tuple[str, ...]:
    return tuple(_LETTERS[letter] for letter in letters if letter in _LETTERS)


def leg_of_device(setting: str, transport: str) -> Leg:
    """What a device takes: as its setting says, else WebRTC when it speaks SIP over WebSocket, as browsers do."""
    if setting in ("plain", "sdes", "webrtc"):
        return Leg(setting)
    return Leg.WEBRTC if transport in ("ws", "wss") else Leg.PLAIN


def leg_of(description: Description) -> Leg:
    """How who sent this description wants its RTP."""
    if description.dtls and not description.sdes:
        return Leg.WEBRTC
    return Leg.SDES if description.sdes else Leg.PLAIN


def offer(description: Description, to: Leg, sender: Sequence[str] = (), receiver: Sequence[str] = ()) -> str:
    """The flags to hand an offer on with; ``sender`` and ``receiver`` are the two sides' codec policies, empty: any codec."""
    return " ".join((_OFFER, _PROTOCOL[to], _WAY[to], *_codecs(description, to, sender, receiver)))


def sources(description: Description, address: str, port: int, sender: str) -> str:
    """The flags that say whose RTP counts: that of who described it, and nobody else's.

    It is certain where he is when ICE finds out, or when his message came from where its Contact (``sender``) and his description
    say that he is; ``port`` is 0 when his port tells nothing (over TCP). Of others, who are behind NAT, rtpengine learns the
    address from what comes in the first seconds. With ICE the address may change from check to check, faster than rtpengine
    follows; there the keys tell whose packets they are (SDES and DTLS authenticate each).
    """
    host, contact_port = contact.host_and_port(sender)
    signalled = description.addresses == {address} and host == address and port in (0, contact_port)
    if description.ice and (description.dtls or description.sdes):
        return "endpoint-learning-off"
    return f"strict-source{' endpoint-learning-off' if description.ice or signalled else ''}"


def refusal_within_call(description: Description) -> str:
    """Why an offer within a call cannot be handed on, whoever is to get it; ``""`` when it can.

    A refusal by the other side would leave rtpengine with the fax, and the call without its audio.
    """
    if description.is_fax:
        return "A call cannot become a fax (T.38) here; send it as audio"
    return ""


def refusal(description: Description, to: Leg, receiver: Sequence[str] = ()) -> str:
    """Why an offer cannot be handed on, in words; ``""`` when it can (RFC 3261, 21.4.26)."""
    if not description.streams:
        return "The session description has no media"
    if description.is_fax and to is Leg.WEBRTC:
        return "A fax (T.38) cannot go over WebRTC"
    audio = description.audio
    if audio is None or not receiver:
        return ""
    known = {codec.lower() for codec in (*CODECS, *receiver)}
    if any(codec.lower() in known for codec in audio.codecs):
        return ""
    return f"No codec in common: offered {', '.join(audio.codecs)[:80]}, allowed {', '.join(receiver)}"


def _codecs(description: Description, to: Leg, sender: Sequence[str], receiver: Sequence[str]) -> list[str]:
    audio = description.audio
    if audio is None:
        return []
    offered = _only(audio.codecs, sender)
    if receiver:
        return _as_wanted(offered, receiver, _not_audio(description))
    flags = []
    if offered != audio.codecs:
        flags = [f"codec-strip-{codec}" for codec in audio.codecs if codec not in offered]
    known = {codec.lower() for codec in offered}
    if to is Leg.WEBRTC:
        wanted: tuple[str, ...] = () if "opus" in known else ("opus",)
    else:
        spoken = known & {codec.lower() for codec in _G711}
        wanted = () if spoken else tuple(codec for codec in _OF_PHONES if codec.lower() not in known)
    return flags + _transcoded(wanted)


def _as_wanted(offered: Sequence[str], receiver: Sequence[str], others: Sequence[str]) -> list[str]:
    """Of the receiver's codecs those that both know; all of them, transcoded, when there is none such. ``others`` stay."""
    known = {codec.lower() for codec in offered}
    shared = [codec for codec in receiver if codec.lower() in known]
    if shared:
        return ["codec-strip-all", *(f"codec-offer-{codec}" for codec in (*shared, *_BESIDE, *others))]
    masked = offered if others else ("all",)
    return [*(f"codec-mask-{codec}" for codec in masked), *_transcoded(receiver)]


def _not_audio(description: Description) -> list[str]:
    """The codecs of the other streams, which no policy is about."""
    streams = [stream for stream in description.streams if stream.kind != "audio"]
    return list(dict.fromkeys(codec for stream in streams for codec in stream.codecs))


def _transcoded(codecs: Sequence[str]) -> list[str]:
    return [f"codec-transcode-{codec}" for codec in (*codecs, EVENTS)] if codecs else []


def _only(codecs: Sequence[str], policy: Sequence[str]) -> tuple[str, ...]:
    """The codecs that a policy allows, and what goes beside codecs; all of them when it would leave none."""
    allowed = {codec.lower() for codec in (*policy, *_BESIDE)}
    kept = tuple(codec for codec in codecs if codec.lower() in allowed)
    beside = {codec.lower() for codec in _BESIDE}
    return kept if any(codec.lower() not in beside for codec in kept) else tuple(codecs)
