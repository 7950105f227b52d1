"""Media goes through rtpengine: offers per branch, answers per reply, and nothing is left when the call is over.

What each side is offered is decided in kemi/media_profile.py.
"""

from __future__ import annotations

from kemi import agreement, contact, ksr, media_profile, sdp
from kemi.agreement import Description
from kemi.call_mark import Mark
from kemi.media_profile import Leg, Terms

_PER_BRANCH = " via-branch=extra"
_ICE, _CANDIDATES = "ice", "candidates"  # tables, by "Call-ID tag"
_MOST_CANDIDATES = 4096  # characters that wait for a description
_KEPT = 3  # s that rtpengine keeps the figures of a call for, if nobody tells it to forget them

# AVPs, alive as long as the transaction.
_OFFERED = "$avp(nb_offered)"  # the offer that this request carried, so the reply carries the answer
_RELAYED = (
    "$avp(nb_media)"  # our reference of the call, and the terms of its media: it goes through rtpengine
)
_ERRAND = "$avp(nb_media_errand)"  # "1": another transaction of ours has the same call, and its branches


def relay_this_call(call: str, terms: Terms, errand: bool = False) -> None:
    """Say that the media of the call being set up goes through rtpengine, on what terms as far as they are known.

    ``errand``: it was begun in another transaction of ours, which ends its media, too, should nobody answer.
    """
    ksr.pv_set(_RELAYED, f"{call} {terms}")
    if errand:
        ksr.pv_set(_ERRAND, "1")


def terms_of_call() -> Terms | None:
    """What relay_this_call was told, None when it was not."""
    terms = ksr.pv(_RELAYED).partition(" ")[2]
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
    ksr.pv_set(_of_branch(branch), str(terms))
    if not ksr.has_sdp():
        return ""
    why = refusal(terms, to_device, webrtc)
    if not why:
        _name_branch(branch)
        _offer_in_request(terms.offer(sdp.read(ksr.body()), to_device) + _PER_BRANCH)
    return why


def is_relayed() -> bool:
    """Whether relay_this_call was told."""
    return bool(ksr.pv(_RELAYED))


def terms_of_branch(branch: int) -> Terms:
    """What offer_on_branch was told."""
    return Terms.read(ksr.pv(_of_branch(branch)))


def answer_on_branch(branch: int, to_device: bool) -> None:
    """In a reply route: the answer (or, when the request had no body, the offer) of one branch."""
    call = ksr.pv(_RELAYED).partition(" ")[0]
    if call and ksr.has_sdp():
        _name_branch(branch)
        if not _answer_in_reply(call, _PER_BRANCH):
            terms = terms_of_branch(branch)
            _offer_in_reply(call, terms.offer(sdp.read(ksr.body()), to_device) + _PER_BRANCH)


def offer_in_dialog(call: str, terms: Terms, to_device: bool, webrtc: bool = True) -> str:
    """A request within a call that may offer anew (hold, resume, another codec). Returns why not, as offer_on_branch."""
    ksr.pv_set(_RELAYED, f"{call} {terms}")
    if not ksr.has_sdp():
        return ""
    description = sdp.read(ksr.body())
    why = media_profile.refusal_within_call(description) or refusal(terms, to_device, webrtc)
    if not why:
        _offer_in_request(terms.offer_again(description, to_device))
    return why


def answer_in_dialog(to_device: bool) -> None:
    """The reply to it; when the request came without a body, the reply is the offer and the ACK or PRACK answers."""
    if ksr.has_sdp():
        call, _, terms = ksr.pv(_RELAYED).partition(" ")
        if not _answer_in_reply(call):
            _offer_in_reply(call, Terms.read(terms).offer_again(sdp.read(ksr.body()), to_device))


def is_answer(call: str) -> bool:
    """Whether the body of this request answers an offer that came in a reply (RFC 3261, 13.2.1; RFC 3262, 5)."""
    return ksr.has_sdp() and (ksr.method() == "ACK" or bool(agreement.open_offer(call)))


def answer_in_request(call: str) -> None:
    """An ACK or PRACK with the answer."""
    answer = _answer(ksr.pv("$ft"))
    offer = agreement.open_offer(call)
    if offer:
        agreement.keep(call, offer, answer)
        agreement.close(call)


def takes_events(mark: Mark, device: bool) -> bool:
    """Whether keys are to reach that side of the call, the device or else the PBX, as telephone-events, by what was agreed upon."""
    agreed = agreement.of_call(mark.call) if mark.media is not None else None
    if agreed is None or mark.media is None:
        return False
    offer, answer = agreed
    return mark.media.takes_events(
        sdp.read(offer.text), sdp.read(answer.text), of_device=mark.is_device(offer.tag), device=device
    )


def hand_candidates(sections: str, ufrags: frozenset[str]) -> bool:
    """Give rtpengine the candidates in this request; False when it does not answer.

    Those of another ICE generation than the sender's last description are nothing to anybody (RFC 8838, 11), and rtpengine would
    take that for the new one. Those that come before it (RFC 8840, 4.3.3) wait for it: rtpengine forgets them after 3 s.
    """
    side = _side(ksr.pv("$ft"))
    generation = ksr.table_get(_ICE, side)
    if generation:
        return not ufrags <= set(generation.split()) or ksr.media_candidates(f"v=0\r\n{sections}")
    waiting = ksr.table_get(_CANDIDATES, side) + sections
    ksr.table_set(_CANDIDATES, side, waiting if len(waiting) <= _MOST_CANDIDATES else sections)
    return True


def take_back_offer(mark: Mark) -> None:
    """The offer of this request was refused: what was agreed upon before it holds, and rtpengine is told of that again.

    It may be the other side's offer that holds, so it is said who has offered and who has answered.
    """
    agreed = agreement.of_call(mark.call) if ksr.pv(_OFFERED) and mark.media is not None else None
    if agreed is None or mark.media is None:
        return
    offer, answer = agreed
    # The tags become flags: one that could be several flags is nobody's who means well.
    ends = {ksr.pv("$ft"), ksr.pv("$tt")}
    if {offer.tag, answer.tag} != ends or any(len(tag.split()) != 1 for tag in ends):
        return
    tags = f"from-tag={offer.tag} to-tag={answer.tag}"
    flags = mark.media.offer_again(sdp.read(offer.text), to_device=not mark.is_device(offer.tag))
    ksr.media_offer(offer.text, f"{flags} {offer.sources} {tags}")
    ksr.media_answer(answer.text, f"{media_profile.ANSWER} {answer.sources} {tags}")
    for description in agreed:
        _note_generation(description)


def end(call: str) -> None:
    """Free the ports of a call once the edge agent has read its figures, or soon by themselves; not if it is answered yet."""
    ksr.media_delete(f"delete-delay={_KEPT}")
    agreement.forget(call)
    for tag in (ksr.pv("$ft"), ksr.pv("$tt")):
        ksr.table_remove(_ICE, _side(tag))


def end_if_relayed() -> None:
    """The same within the transaction that set the call up, when it failed."""
    call = ksr.pv(_RELAYED).partition(" ")[0]
    if call:
        agreement.forget(call)
        ksr.table_remove(_ICE, _side(ksr.pv("$ft")))
        if not ksr.pv(_ERRAND):
            ksr.media_delete()


def next_hops_transport() -> str:
    """The transport by which this request is about to leave, in lower case."""
    return contact.transport_of(ksr.pv("$du") or ksr.pv("$ru"))


def _offer_in_request(flags: str) -> None:
    ksr.pv_set(_OFFERED, str(_offer(flags, ksr.pv("$ft"))))


def _offer_in_reply(call: str, flags: str) -> None:
    agreement.keep_open(call, _offer(flags, ksr.pv("$tt")))


def _answer_in_reply(call: str, more: str = "") -> bool:
    """The answer to what the request has offered; False when it has not."""
    offer = ksr.pv(_OFFERED)
    if not offer:
        return False
    answer = _answer(ksr.pv("$tt"), more)
    # In a reply that may get lost it is a foretaste of the answer to come (RFC 3262).
    if ksr.status() >= 200 or ksr.has_header("RSeq"):
        agreement.keep(call, offer, answer)
    return True


def _offer(flags: str, tag: str) -> Description:
    description = _description(tag)
    ksr.media_offer(description.text, f"{flags} {description.sources}")
    _note_generation(description)
    return description


def _answer(tag: str, more: str = "") -> Description:
    description = _description(tag)
    ksr.media_answer(description.text, f"{media_profile.ANSWER}{more} {description.sources}")
    _note_generation(description)
    return description


def _note_generation(description: Description) -> None:
    """Of a side with ICE; and give rtpengine the candidates that have waited for it."""
    ufrags = sdp.read(description.text).ufrags
    if ufrags:
        side = _side(description.tag)
        ksr.table_set(_ICE, side, " ".join(ufrags))
        waiting = ksr.table_get(_CANDIDATES, side)
        if waiting:
            ksr.table_remove(_CANDIDATES, side)
            ksr.media_candidates(f"v=0\r\n{waiting}")


def _side(tag: str) -> str:
    return f"{ksr.call_id()} {tag}"


def _description(tag: str) -> Description:
    body = ksr.body()
    text = sdp.with_candidate(sdp.with_tls_id(body), ksr.source_address())
    return Description(tag, _sources(body), text)


def _sources(body: str) -> str:
    port = ksr.source_port() if ksr.protocol() == "udp" else 0
    return media_profile.sources(sdp.read(body), ksr.source_address(), port, ksr.header("Contact"))


def _name_branch(branch: int) -> None:
    ksr.pv_set("$avp(extra_id)", f"{'e' if ksr.pv(_ERRAND) else 'b'}{branch}")


def _of_branch(branch: int) -> str:
    return f"$avp(nb_media{branch})"
