"""Media goes through rtpengine: offers per branch, answers per reply, and nothing is left when the call is over.

What each side is offered is decided in kemi/media_profile.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from kemi import contact, ksr, media_profile, sdp
from kemi.media_profile import Leg

_PER_BRANCH = " via-branch=extra"
_KEPT = 3  # s that rtpengine keeps the figures of a call for, if nobody tells it to forget them

# AVPs, alive as long as the transaction.
_OFFERED = "$avp(nb_offered)"  # "1": this request carried the offer, so the reply carries the answer
_RELAYED = "$avp(nb_media)"  # the caller's kind of media: this call's goes through rtpengine
_CODECS = "$avp(nb_codecs)"  # the caller's codec policy, separated by spaces


def relay_this_call(caller: Leg, codecs: Sequence[str]) -> None:
    """Say that the media of the call being set up goes through rtpengine, and what its caller takes."""
    ksr.pv_set(_RELAYED, caller.value)
    ksr.pv_set(_CODECS, " ".join(codecs))


def refusal(callee: Leg, codecs: Sequence[str] = (), webrtc: bool = True) -> str:
    """Why this INVITE's media cannot be handed to such a callee, in words; ``""`` when it can, or brings none.

    ``webrtc``: whether this rtpengine may be trusted with it.
    """
    if not ksr.has_sdp():
        return ""
    description = sdp.read(ksr.body())
    if not webrtc and Leg.WEBRTC in (callee, media_profile.leg_of(description)):
        return "No WebRTC here: rtpengine is open to CVE-2023-51275"
    return media_profile.refusal(description, callee, codecs)


def offer_on_branch(branch: int, callee: Leg, codecs: Sequence[str], webrtc: bool = True) -> str:
    """In a branch route: offer this branch its own ports, so that each device of a fork has its own.

    Returns why that cannot be done, ``""`` when it was done or there is nothing to do.
    """
    if not ksr.pv(_RELAYED) or not ksr.has_sdp():
        return ""
    why = refusal(callee, codecs, webrtc)
    if not why:
        ksr.pv_set("$avp(extra_id)", f"b{branch}")
        ksr.pv_set(_OFFERED, "1")
        description = sdp.read(ksr.body())
        _offer(media_profile.offer(description, callee, _caller_codecs(), codecs) + _PER_BRANCH)
    return why


def answer_on_branch(branch: int) -> None:
    """In a reply route: the answer (or, when the request had no body, the offer) of one branch."""
    if ksr.pv(_RELAYED) and ksr.has_sdp():
        ksr.pv_set("$avp(extra_id)", f"b{branch}")
        if ksr.pv(_OFFERED) == "1":
            _answer(media_profile.ANSWER + _PER_BRANCH)
        else:
            caller = Leg(ksr.pv(_RELAYED))
            flags = media_profile.offer(sdp.read(ksr.body()), caller, receiver=_caller_codecs())
            _offer(flags + _PER_BRANCH)


def offer_in_dialog(receiver: Leg) -> str:
    """A re-INVITE or UPDATE with a body: offer again (hold, resume, another codec). Returns why not, as offer_on_branch."""
    why = refusal(receiver)
    if not why and ksr.has_sdp():
        ksr.pv_set(_OFFERED, "1")
        _offer(media_profile.offer_again(sdp.read(ksr.body()), receiver))
    return why


def answer_in_dialog(receiver: Leg) -> None:
    """The reply to it; when the re-INVITE came without a body, the reply is the offer and the ACK answers."""
    if ksr.has_sdp():
        if ksr.pv(_OFFERED) == "1":
            _answer(media_profile.ANSWER)
        else:
            _offer(media_profile.offer_again(sdp.read(ksr.body()), receiver))


def answer_in_ack() -> None:
    """An ACK with a body answers the offer that was in the 2xx (RFC 3261, 13.2.1)."""
    if ksr.has_sdp():
        _answer(media_profile.ANSWER)


def end() -> None:
    """Free the ports of a call that had been answered, once the edge agent has read its figures, or soon by themselves."""
    ksr.media_delete(f"delete-delay={_KEPT}")


def end_if_relayed() -> None:
    """The same within the transaction that set the call up, when it failed."""
    if ksr.pv(_RELAYED):
        ksr.media_delete()


def next_hops_transport() -> str:
    """The transport by which this request is about to leave, in lower case."""
    return contact.transport_of(ksr.pv("$du") or ksr.pv("$ru"))


def _offer(flags: str) -> None:
    ksr.media_offer(f"{flags} {_sources()}")


def _answer(flags: str) -> None:
    ksr.media_answer(f"{flags} {_sources()}")


def _sources() -> str:
    port = ksr.pv_int("$sp") if ksr.pv("$pr").lower() == "udp" else 0
    return media_profile.sources(sdp.read(ksr.body()), ksr.pv("$si"), port, ksr.header("Contact"))


def _caller_codecs() -> list[str]:
    return ksr.pv(_CODECS).split()
