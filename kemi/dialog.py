"""Requests within a dialog: ACK, re-INVITE, BYE and the rest follow the Route set, both ways."""

from __future__ import annotations

import re
import time
from enum import Enum

from kemi import held_request, info, ksr, media, nat, purr, route, stray, trickle, trust, wake, wire
from kemi.call_mark import Mark
from kemi.node import Node

# The requests that may carry an offer, or have one in the reply (RFC 3261, RFC 3311, RFC 3262).
_SESSION = ("INVITE", "UPDATE", "PRACK")
_NEWS = "news"  # "Call-ID From-tag Event" -> the CSeq of the last NOTIFY
_RACK = re.compile(r"\s*(\d{1,10})\s+(\d{1,10})\s+(\w+)\s*", re.ASCII)
_TO_DEVICE = "$avp(nb_to_device)"  # "1": the reply comes from a device
# The requests that refresh the route set or the target of the dialog.
_RECORDED = ("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY")


def request(node: Node) -> int:
    """Pass an in-dialog request on; only along a Route of our own making."""
    method = ksr.method()
    first = ksr.header("Route")
    mark = node.mark_of_dialog(first)
    if mark is None:
        return _astray(method)
    if method == "NOTIFY":
        return _news(node, mark, first)
    return _pass_on(node, mark, first, method)


def _news(node: Node, mark: Mark, first: str) -> int:
    """Pass a NOTIFY on, in the order in which they were sent.

    Two that come by UDP within a millisecond are taken by two workers. The one that has been overtaken would be refused for its
    CSeq (RFC 3261, 12.2.2), and the notifier take the subscription for ended: whoever hands a call over would never hear that it
    has arrived. So it is answered here; the later one says how things stand. The lock is held while one is passed on.
    """
    number = int(ksr.cseq())
    with wake.HeldCalls(f"{ksr.call_id()} {ksr.pv('$ft')} {ksr.header('Event')}", _NEWS) as latest:
        if int(latest.value or 0) > number:
            ksr.reply_stateless(200, "OK")
            return 1
        latest.value = str(number)
        return _pass_on(node, mark, first, "NOTIFY")


def _pass_on(node: Node, mark: Mark, first: str, method: str) -> int:
    if not first.startswith(node.settings.own_route):
        _mend_route(node)
    if not ksr.loose_route():
        return _astray(method)
    if not ksr.has_next_hop():
        ksr.follow_alias()
    trust.remove_credentials()
    from_device = mark.is_device(ksr.pv("$ft"))
    part = _part_in_media(mark, method, from_device)
    if from_device:
        trust.remove_claims()
        if method == "PRACK" and mark.outbound:
            _renumber_rack()
    else:
        ksr.pv_set(_TO_DEVICE, "1")
    if method == "INFO" and part is _Part.NONE and info.take(node, mark, not from_device):
        return 1
    sleeper = ""
    # Of a device that wants to be woken; no ACK is, as nobody waits for an answer to it.
    if not from_device and purr.PARAMETER in ksr.pv("$ru") and method != "ACK":
        sleeper = held_request.aim(node)
    # What is held comes again meanwhile; and an offer that comes again may be answered or refused by now.
    if (sleeper or part is _Part.OFFER) and not ksr.tm_new():
        return 1
    negotiates = part in (_Part.OFFER, _Part.ASKS)
    if negotiates:
        (trickle.conceal if from_device else trickle.welcome)(mark.media)
    if method in _RECORDED:
        node.stay_in_dialog(mark)
        nat.public_contact()
    reply_route = "ksr_reply_dialog_media" if negotiates else "ksr_reply_dialog"
    if method != "ACK":
        ksr.tm_on_reply(reply_route)
    why = _tell_relay(node, mark, part, from_device)
    if why:
        ksr.append_header_to_reply(f'Reason: SIP;cause=488;text="{why}"')
        ksr.reply(488, "Not Acceptable Here")
        return 1
    if method == "BYE" and part is not _Part.STRAY:
        node.events.call(mark.call, "device-bye" if from_device else "bye")
        if part is _Part.END:
            _tell_of_media(node, mark)
    if sleeper:
        return held_request.send(node, mark.call, reply_route)
    if not ksr.tm_relay() and method != "ACK":
        media.take_back_offer(mark)
        ksr.reply_error()
    return 1


class _Part(Enum):
    """What a request within a call has to do with its media."""

    NONE = "none"
    STRAY = "stray"  # its leg was sent away, and never had any
    OFFER = "offer"
    ASKS = "asks"  # for an offer, in the reply
    ANSWER = "answer"
    END = "end"


def _part_in_media(mark: Mark, method: str, from_device: bool) -> _Part:
    if stray.is_stray(ksr.pv("$ft" if from_device else "$tt")):
        return _Part.STRAY
    if mark.media is None:
        return _Part.NONE
    if method == "BYE":
        return _Part.END
    if method in ("ACK", "PRACK") and media.is_answer(mark.call):
        return _Part.ANSWER
    if method not in _SESSION:
        return _Part.NONE
    return _Part.OFFER if ksr.has_sdp() else _Part.ASKS


def _tell_relay(node: Node, mark: Mark, part: _Part, from_device: bool) -> str:
    """Hand on what the request means for the call's media; returns why it must be refused, ``""`` when it need not."""
    if part is _Part.END:
        media.end(mark.call)
    elif part is _Part.ANSWER:
        media.answer_in_request(mark.call)
    elif mark.media is not None and part in (_Part.OFFER, _Part.ASKS):
        why = media.offer_in_dialog(mark.call, mark.media, not from_device, node.settings.webrtc)
        if part is _Part.OFFER:
            ksr.tm_on_failure("ksr_failure_dialog")
        return why
    return ""


def _renumber_rack() -> None:
    """Name the INVITE that a PRACK is about as the PBX knows it, which has challenged it (RFC 3262, 7.2)."""
    found = _RACK.fullmatch(ksr.header("RAck"))
    raised = ksr.dialog_cseq_raised() if found else 0
    if found and raised:
        ksr.remove_header("RAck")
        ksr.append_header(f"RAck: {found[1]} {int(found[2]) + raised} {found[3]}")


def failure(node: Node) -> int:
    """Failure route of a request within a dialog that has offered something, or whose device may sleep."""
    if not held_request.goes_on(node):
        mark = node.mark_of_dialog(ksr.header("Route"))
        if mark is not None:
            media.take_back_offer(mark)
    return 1


def _tell_of_media(node: Node, mark: Mark) -> None:
    sender, other = ksr.pv("$ft"), ksr.pv("$tt")
    device, pbx = (sender, other) if mark.is_device(sender) else (other, sender)
    node.events.send(wire.MediaEndEvent(time.time(), mark.call, ksr.call_id(), device, pbx))


def _mend_route(node: Node) -> None:
    """Put our own address into a Route of our making that a PBX has changed to the address it sees us at.

    PBXs do that for phones behind NAT: over TCP they write the port our connection left from, where nobody listens.
    """
    routes = ksr.headers("Route")
    first = route.first(routes)
    if first is not None and not ksr.is_myself(first.uri):
        settings = node.settings
        port = settings.tls_port if first.transport == "tls" else settings.sip_port
        ksr.replace_header("Route", route.moved(routes, settings.address, port))
        ksr.force_rport()


def _astray(method: str) -> int:
    if method == "ACK":
        # To a negative reply: it ends here when it matches a transaction, and nowhere when it does not.
        if ksr.tm_matches():
            ksr.tm_relay()
        return 1
    if not ksr.tm_is_retransmission():
        ksr.reply_stateless(481, "Call/Transaction Does Not Exist")
    return 1


def reply(node: Node, relayed: bool) -> int:
    """Reply route of requests within a dialog; ``relayed``: of those that change its media."""
    code = ksr.status()
    from_device = ksr.pv(_TO_DEVICE) == "1"
    if from_device:
        trust.remove_claims()
    if 100 < code < 300:
        nat.public_contact()
        if relayed:
            media.answer_in_dialog(to_device=not from_device)
            (trickle.conceal if from_device else trickle.welcome)(media.terms_of_call())
    return 1
