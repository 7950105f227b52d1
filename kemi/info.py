"""INFO within a call (RFC 6086): candidates are for rtpengine (kemi/trickle.py), a key press may become telephone-events
(RFC 4733); all else goes on untouched.

What has to be done for a key waits for an answer of rtpengine, so that the edge agent does it, while the request is held. An
INFO that it says nothing of, in time, goes on as it came.
"""

from __future__ import annotations

import time

from kemi import key_press, ksr, media, trickle, wire
from kemi.call_mark import Mark
from kemi.key_press import BadKeyPressError
from kemi.node import Node

_ANSWER_MS = 5000  # how long the other side may take to answer what was held and goes on
_NEXT_HOP = "$avp(nb_next_hop)"


def take(node: Node, mark: Mark, to_device: bool) -> bool:
    """Whether this INFO was taken charge of: candidates for rtpengine, or a key press for a side that it can send events to."""
    return trickle.take(mark, from_device=not to_device) or _take_key_press(node, mark, to_device)


def _take_key_press(node: Node, mark: Mark, to_device: bool) -> bool:
    content_type = ksr.header("Content-Type")
    if "dtmf" not in content_type.lower() or not media.takes_events(mark, to_device):
        return False
    try:
        press = key_press.read(content_type, ksr.header("Content-Encoding"), ksr.body())
    except BadKeyPressError as error:
        ksr.append_header_to_reply(f'Reason: SIP;cause={error.code};text="{error}"')
        ksr.reply(error.code, "Bad Key Press" if error.code == 400 else "Unsupported Media Type")
        return True
    if press is None:
        return False
    if not ksr.tm_new():
        return True  # it comes again while it is held
    ksr.pv_set(_NEXT_HOP, ksr.pv("$du"))
    ksr.tm_on_failure("ksr_failure_info")
    now = time.time()
    event = wire.KeyPressEvent(
        now, mark.call, ksr.tm_id(), ksr.call_id(), ksr.pv("$ft"), press.key, press.milliseconds
    )
    if ksr.tm_suspend(wire.KEY_PRESS_HELD_MS):
        node.events.send(event)
    else:
        ksr.tm_reply(500, "Server Internal Error")
    return True


def failure(node: Node) -> int:
    """Failure route of an INFO that was held: the edge agent is away, or could do nothing with it."""
    if not ksr.tm_timed_out():
        return 1
    next_hop = ksr.pv(_NEXT_HOP)
    ksr.set_ruri(ksr.pv("$ru"))
    if next_hop:
        ksr.set_next_hop(next_hop)
    if media.next_hops_transport() == "udp":
        # This is no worker of that socket, and would take the park socket.
        ksr.send_from(f"udp:{node.settings.address}:{node.settings.sip_port}")
    ksr.tm_wait(_ANSWER_MS)
    ksr.tm_on_reply("ksr_reply_dialog")
    if not ksr.tm_relay():
        ksr.tm_reply(500, "Server Internal Error")
    return 1
