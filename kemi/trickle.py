"""Candidates that a device by WebRTC tells of after its description, in INFO (trickle ICE, RFC 8838 and RFC 8840).

Its peer is rtpengine, so they end there: the PBX, which is offered plain RTP, neither sees them nor reads of them.
"""

from __future__ import annotations

from kemi import ice_fragment, ksr, media
from kemi.call_mark import Mark
from kemi.ice_fragment import BadFragmentError
from kemi.media_profile import Leg, Terms

_NAME = "trickle-ice"  # of the option tag and of the Info Package (RFC 8840, 10)
_TYPE = "application/trickle-ice-sdpfrag"


def take(mark: Mark, from_device: bool) -> bool:
    """Whether this INFO was about candidates, and has been answered."""
    content_type = ksr.header("Content-Type").partition(";")[0].strip().lower()
    if mark.media is None or not (
        content_type == _TYPE or ksr.header("Info-Package").strip().lower() == _NAME
    ):
        return False
    if not (from_device and mark.media.device is Leg.WEBRTC):
        ksr.append_header_to_reply("Recv-Info: ")
        ksr.reply_stateless(469, "Bad Info Package")
    elif content_type != _TYPE:
        ksr.append_header_to_reply(f"Accept: {_TYPE}")
        ksr.reply_stateless(415, "Unsupported Media Type")
    else:
        _answer()
    return True


def _answer() -> None:
    try:
        fragment = ice_fragment.read(ksr.body())
    except BadFragmentError as error:
        ksr.append_header_to_reply(f'Reason: SIP;cause=400;text="{error}"')
        ksr.reply_stateless(400, "Bad Fragment")
        return
    if not fragment.sections or media.hand_candidates(fragment.sections, fragment.ufrags):
        ksr.reply_stateless(200, "OK")
    else:
        ksr.reply_stateless(500, "Media Relay Does Not Answer")


def welcome(terms: Terms | None) -> None:
    """Tell a device by WebRTC, in a message on its way to it, that it may trickle (RFC 6086, 5.2; RFC 8840, 4.1)."""
    if terms is not None and terms.device is Leg.WEBRTC:
        ksr.append_header(f"Supported: {_NAME}")
        ksr.append_header(f"Recv-Info: {_NAME}")


def conceal(terms: Terms | None) -> None:
    """Remove from what a device by WebRTC tells the PBX that it trickles, or wants to."""
    if terms is None or terms.device is not Leg.WEBRTC:
        return
    for name in ("Supported", "Require", "Recv-Info"):
        listed = ksr.headers(name)
        if _NAME in listed.lower():
            others = [word.strip() for word in listed.split(",") if word.strip().lower() != _NAME]
            ksr.remove_header(name)
            if others:
                ksr.append_header(f"{name}: {', '.join(others)}")
