"""Requests within a dialog: ACK, re-INVITE, BYE and the rest follow the Route set, both ways."""

from __future__ import annotations

import time

from kemi import held_request, ksr, media, nat, purr, route, stray, trust, wire
from kemi.call_mark import Mark
from kemi.node import Node

_SESSION = ("INVITE", "UPDATE")
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
    if not first.startswith(node.settings.own_route):
        _mend_route(node)
    if not ksr.loose_route():
        return _astray(method)
    if not ksr.has_next_hop():
        ksr.follow_alias()
    trust.remove_credentials()
    sleeper = ""
    sender = ksr.pv("$ft")
    from_device = mark.is_device(sender)
    if from_device:
        trust.remove_claims()
    else:
        ksr.pv_set(_TO_DEVICE, "1")
        # Of a device that wants to be woken; no ACK is, as nobody waits for an answer to it.
        if purr.PARAMETER in ksr.pv("$ru") and method != "ACK":
            sleeper = held_request.aim(node)
            if sleeper and not ksr.tm_new():
                return 1  # it comes again while it is held
    if method in _RECORDED:
        node.stay_in_dialog(mark)
        nat.public_contact()
    is_stray = stray.is_stray(sender if from_device else ksr.pv("$tt"))
    terms = None if is_stray else mark.media
    has_media = terms is not None
    relayed = has_media and method in _SESSION
    reply_route = "ksr_reply_dialog_media" if relayed else "ksr_reply_dialog"
    if method != "ACK":
        ksr.tm_routes(reply=reply_route)
    if terms is not None and relayed:
        why = media.offer_in_dialog(terms, not from_device, node.settings.webrtc)
        if why:
            ksr.append_header_to_reply(f'Reason: SIP;cause=488;text="{why}"')
            ksr.reply(488, "Not Acceptable Here")
            return 1
    elif method == "ACK" and has_media:
        media.answer_in_ack()
    elif method == "BYE":
        if has_media:
            media.end()
        if not is_stray:
            node.events.call(mark.call, "bye")
            if has_media:
                _tell_of_media(node, mark)
    if sleeper:
        return held_request.send(node, mark.call, reply_route)
    if not ksr.tm_relay() and method != "ACK":
        ksr.reply_error()
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
        if code == 599:
            held_request.given_up(node)
    if 100 < code < 300:
        nat.public_contact()
        if relayed:
            media.answer_in_dialog(to_device=not from_device)
    return 1
