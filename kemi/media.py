"""Media goes through rtpengine: offers per branch, answers per reply, and nothing is left when the call is over.

What each side is offered is decided in kemi/media_profile.py.
"""

from __future__ import annotations

from kemi import contact, ksr, media_profile, sdp
from kemi.media_profile import Leg, Terms

_PER_BRANCH = " via-branch=extra"
_KEPT = 3  # s that rtpengine keeps the figures of a call for, if nobody tells it to forget them

# AVPs, alive as long as the transaction.
_OFFERED = "$avp(nb_offered)"  # "1": this request carried the offer, so the reply carries the answer
_RELAYED = "$avp(nb_media)"  # the terms of this call's media, which goes through rtpengine
_ERRAND = "$avp(nb_media_errand)"  # "1": another transaction of ours has the same call, and its branches


def relay_this_call(terms: Terms, errand: bool = False) -> None:
    """Say that the media of the call being set up goes through rtpengine, on what terms as far as they are known.

    ``errand``: it was begun in another transaction of ours, which ends its media, too, should nobody answer.
    """
    ksr.pv_set(_RELAYED, str(terms))
    if errand:
        ksr.pv_set(_ERRAND, "1")


def terms_of_call() -> Terms | None:
    """What relay_this_call was told, None when it was not."""
    terms = ksr.pv(_RELAYED)
    return Terms.read(terms) if terms else None


def refusal(terms: Terms, to_device: bool, webrtc: bool = True) -> str:
    """Why this request's offer cannot be handed to the other side, in words; ``""`` when it can, or there is none.

    ``webrtc``: whether this rtpengine may be trusted with it.
    """
    if not ksr.has_sdp():
        return ""
    description = sdp.read(ksr.body())
    receiver, codecs = terms.receiver(to_device)
    if not webrtc and Leg.WEBRTC in (receiver, media_profile.leg_of(description)):
        return "No WebRTC here: rtpengine is open to CVE-2023-51275"
    return media_profile.refusal(description, receiver, codecs)


def leg_of_sender(setting: str) -> Leg:
    """What the device takes that has sent this request: what it describes, else as its setting and its transport say."""
    if ksr.has_sdp():
        return media_profile.leg_of(sdp.read(ksr.body()))
    return media_profile.leg_of_device(setting, ksr.protocol())


def offer_on_branch(branch: int, terms: Terms, to_device: bool, webrtc: bool = True) -> str:
    """In a branch route: offer this branch its own ports, so that each device of a fork has its own.

    Returns why that cannot be done, ``""`` when it was done or there is nothing to do.
    """
    if not ksr.has_sdp():
        ksr.pv_set(_of_branch(branch), str(terms))
        return ""
    why = refusal(terms, to_device, webrtc)
    if not why:
        _name_branch(branch)
        ksr.pv_set(_OFFERED, "1")
        _offer(terms.offer(sdp.read(ksr.body()), to_device) + _PER_BRANCH)
    return why


def answer_on_branch(branch: int, to_device: bool) -> None:
    """In a reply route: the answer (or, when the request had no body, the offer) of one branch."""
    if ksr.pv(_RELAYED) and ksr.has_sdp():
        _name_branch(branch)
        if ksr.pv(_OFFERED) == "1":
            _answer(media_profile.ANSWER + _PER_BRANCH)
        else:
            terms = Terms.read(ksr.pv(_of_branch(branch)))
            _offer(terms.offer(sdp.read(ksr.body()), to_device) + _PER_BRANCH)


def offer_in_dialog(terms: Terms, to_device: bool, webrtc: bool = True) -> str:
    """A re-INVITE or UPDATE with a body: offer again (hold, resume, another codec). Returns why not, as offer_on_branch."""
    ksr.pv_set(_RELAYED, str(terms))
    if not ksr.has_sdp():
        return ""
    description = sdp.read(ksr.body())
    why = media_profile.refusal_within_call(description) or refusal(terms, to_device, webrtc)
    if not why:
        ksr.pv_set(_OFFERED, "1")
        _offer(terms.offer_again(description, to_device))
    return why


def answer_in_dialog(to_device: bool) -> None:
    """The reply to it; when the re-INVITE came without a body, the reply is the offer and the ACK answers."""
    if ksr.has_sdp():
        if ksr.pv(_OFFERED) == "1":
            _answer(media_profile.ANSWER)
        else:
            terms = Terms.read(ksr.pv(_RELAYED))
            _offer(terms.offer_again(sdp.read(ksr.body()), to_device))


def answer_in_ack() -> None:
    """An ACK with a body answers the offer that was in the 2xx (RFC 3261, 13.2.1)."""
    if ksr.has_sdp():
        _answer(media_profile.ANSWER)


def end() -> None:
    """Free the ports of a call once the edge agent has read its figures, or soon by themselves; not if it is answered yet."""
    ksr.media_delete(f"delete-delay={_KEPT}")


def end_if_relayed() -> None:
    """The same within the transaction that set the call up, when it failed."""
    if ksr.pv(_RELAYED) and not ksr.pv(_ERRAND):
        ksr.media_delete()


def next_hops_transport() -> str:
    """The transport by which this request is about to leave, in lower case."""
    return contact.transport_of(ksr.pv("$du") or ksr.pv("$ru"))


def _offer(flags: str) -> None:
    body = ksr.body()
    ksr.media_offer(sdp.with_tls_id(body), f"{flags} {_sources(body)}")


def _answer(flags: str) -> None:
    body = ksr.body()
    ksr.media_answer(sdp.with_tls_id(body), f"{flags} {_sources(body)}")


def _sources(body: str) -> str:
    port = ksr.source_port() if ksr.protocol() == "udp" else 0
    return media_profile.sources(sdp.read(body), ksr.source_address(), port, ksr.header("Contact"))


def _name_branch(branch: int) -> None:
    ksr.pv_set("$avp(extra_id)", f"{'e' if ksr.pv(_ERRAND) else 'b'}{branch}")


def _of_branch(branch: int) -> str:
    return f"$avp(nb_media{branch})"
