"""Media goes through rtpengine: offers per branch, answers per reply, and nothing is left when the call is over."""

from __future__ import annotations

from kemi import ksr

# Plain RTP on both sides. "replace-*" hides the far end's addresses; ICE towards a plain phone is noise.
_PLAIN = "replace-origin replace-session-connection ICE=remove RTP/AVP"
_PER_BRANCH = " via-branch=extra"
_KEPT = 3  # s that rtpengine keeps the figures of a call for, if nobody tells it to forget them

# AVPs, alive as long as the transaction.
_OFFERED = "$avp(nb_offered)"  # "1": this request carried the offer, so the reply carries the answer
_RELAYED = "$avp(nb_media)"  # "1": this call's media goes through rtpengine


def relay_this_call() -> None:
    """Say that the media of the call being set up goes through rtpengine."""
    ksr.pv_set(_RELAYED, "1")


def offer_on_branch(branch: int) -> None:
    """In a branch route: offer this branch its own ports, so that each device of a fork has its own."""
    if ksr.pv(_RELAYED) == "1" and ksr.has_sdp():
        ksr.pv_set("$avp(extra_id)", f"b{branch}")
        ksr.pv_set(_OFFERED, "1")
        ksr.media_offer(_PLAIN + _PER_BRANCH)


def answer_on_branch(branch: int) -> None:
    """In a reply route: the answer (or, when the request had no body, the offer) of one branch."""
    if ksr.pv(_RELAYED) == "1" and ksr.has_sdp():
        ksr.pv_set("$avp(extra_id)", f"b{branch}")
        if ksr.pv(_OFFERED) == "1":
            ksr.media_answer(_PLAIN + _PER_BRANCH)
        else:
            ksr.media_offer(_PLAIN + _PER_BRANCH)


def offer_in_dialog() -> None:
    """A re-INVITE or UPDATE with a body: offer again (hold, resume, another codec)."""
    if ksr.has_sdp():
        ksr.pv_set(_OFFERED, "1")
        ksr.media_offer(_PLAIN)


def answer_in_dialog() -> None:
    """The reply to it; when the re-INVITE came without a body, the reply is the offer and the ACK answers."""
    if ksr.has_sdp():
        if ksr.pv(_OFFERED) == "1":
            ksr.media_answer(_PLAIN)
        else:
            ksr.media_offer(_PLAIN)


def answer_in_ack() -> None:
    """An ACK with a body answers the offer that was in the 2xx (RFC 3261, 13.2.1)."""
    if ksr.has_sdp():
        ksr.media_answer(_PLAIN)


def end() -> None:
    """Free the ports of a call that had been answered, once the edge agent has read its figures, or soon by themselves."""
    ksr.media_delete(f"delete-delay={_KEPT}")


def end_if_relayed() -> None:
    """The same within the transaction that set the call up, when it failed."""
    if ksr.pv(_RELAYED) == "1":
        ksr.media_delete()
