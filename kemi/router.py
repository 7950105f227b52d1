"""Table of contents: which message goes to which concern."""

from __future__ import annotations

import os
import time

from kemi import (
    auth,
    cancelled,
    dialog,
    errands,
    hang_up,
    inbound,
    info,
    ksr,
    letters,
    message,
    mwi,
    outbound,
    register,
    registrar,
    stray,
    wake,
    websocket,
    wire,
)
from kemi.node import Node

_ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, NOTIFY, UPDATE, REFER, INFO, PRACK, MESSAGE"


def request(node: Node) -> int:
    """A request has arrived."""
    settings = node.settings
    if settings.turn_highest and settings.is_turn_relay(ksr.source_address(), ksr.source_port()):
        # Our own address, perhaps that of a PBX on this host too, and yet anybody's words: no phone speaks SIP that way.
        node.events.count("sip-through-turn")
        return 1
    if ksr.local_port() == settings.park_port:
        is_letter = ksr.has_header(letters.HEADER) and wake.is_ours(node)
        return letters.hold(node) if is_letter else wake.request(node)
    if not ksr.hops_left():
        ksr.reply_stateless(483, "Too Many Hops")
        return 1
    if not ksr.sane():
        node.events.count("malformed", ksr.source_address())
        return 1
    ksr.force_rport()
    method = ksr.method()
    if method == "CANCEL":
        return cancelled.request()
    if ksr.has_to_tag():
        return dialog.request(node)
    if method == "ACK":
        ksr.tm_matches()
        return 1
    if ksr.tm_is_retransmission():
        return 1
    if method == "REGISTER":
        return register.request(node)
    return _out_of_dialog(node, method)


def _out_of_dialog(node: Node, method: str) -> int:
    errand = errands.of_request(node) if method == "INVITE" else None
    if errand is not None:
        return errands.invite(node, errand)
    origin = auth.from_pbx()
    if origin is None:
        if method == "INVITE":
            return outbound.invite(node)
        if method == "MESSAGE":
            return message.from_device(node)
        if method == "OPTIONS":
            ksr.append_header_to_reply(_ALLOW)
            ksr.reply_stateless(200, "OK")
            return 1
        ksr.append_header_to_reply(_ALLOW)
        ksr.reply_stateless(405, "Method Not Allowed")
        return 1
    if method == "INVITE":
        return inbound.invite(node, origin)
    if method == "MESSAGE":
        return message.from_pbx(node, origin)
    if method in ("OPTIONS", "NOTIFY"):
        # Qualify: the line is there though its devices sleep. Message-waiting news nobody asked for: taken, not argued with.
        if method == "NOTIFY":
            mwi.notify(node, origin)
        ksr.append_header_to_reply(_ALLOW)
        ksr.reply_stateless(200, "OK")
        return 1
    ksr.append_header_to_reply(_ALLOW)
    ksr.reply_stateless(405, "Method Not Allowed")
    return 1


def reply(node: Node) -> int:
    """Any reply, before the transaction layer sees it."""
    method, code = ksr.method(), ksr.status()
    if method == "REGISTER":
        registrar.take_reply(node)
    elif code == 599:
        if wake.has_ended(node):
            ksr.drop()
    elif method == "INVITE":
        if 200 <= code < 300 and stray.turned_away(node):
            ksr.drop()
    elif method == "MESSAGE" and wake.is_belated(node):
        ksr.drop()
    return 1


def started(node: Node) -> None:
    """The first worker is there: Kamailio can be talked to."""
    node.events.send(wire.HelloEvent(time.time(), os.getppid()))


# Every handler Kamailio can call, by its name: kamailio.cfg and the t_on_* of the concerns refer to these.
ROUTES = {
    "ksr_request_route": request,
    "ksr_reply_route": reply,
    "ksr_branch_device": inbound.branch,
    "ksr_reply_device": inbound.reply,
    "ksr_failure_device": inbound.failure,
    "ksr_failure_park": wake.failure,
    "ksr_branch_pbx": outbound.branch,
    "ksr_reply_pbx": outbound.reply,
    "ksr_failure_pbx": outbound.failure,
    "ksr_branch_message": message.branch,
    "ksr_reply_message": message.reply,
    "ksr_failure_message": message.failure,
    "ksr_continue_letter": letters.go_on,
    "ksr_dismiss_letter": letters.dismissed,
    "ksr_reply_letter": letters.reply,
    "ksr_failure_letter": letters.failure,
    "ksr_reply_message_out": message.reply_out,
    "ksr_failure_message_out": message.failure_out,
    "ksr_rtimer_letters": letters.look_again,
    "ksr_reply_dialog": lambda node: dialog.reply(node, relayed=False),
    "ksr_reply_dialog_media": lambda node: dialog.reply(node, relayed=True),
    "ksr_failure_dialog": dialog.failure,
    "ksr_failure_info": info.failure,
    "ksr_rtimer_tell": wake.tell_again,
    "ksr_rtimer_byes": hang_up.send_byes,
    "ksr_rtimer_cancelled": cancelled.answer_for_the_gone,
    "ksr_rtimer_registrar": registrar.tick,
    "ksr_registrar_event": register.expired,
    "ksr_xhttp_event": websocket.handshake,
    "ksr_websocket_event": lambda node: 1,
    "ksr_onsend_route": lambda node: 1,
}
