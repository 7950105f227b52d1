"""A request within a dialog for a device that sleeps (RFC 8599, 6.2.3): it is held, the device is woken, then it goes on.

Only the requests whose Request-URI has the device's own PURR are looked at: that the app has put it there says that it
remembers the call, or whatever the dialog is for, while it sleeps.
"""

from __future__ import annotations

import time

from kemi import inbound, ksr, letters, purr, wake, wire
from kemi.documents import devices
from kemi.node import Node

# The sender of a request gives up after 32 s (RFC 3261, 17.1.2.2: timer F): before that lie the 3 s in which a
# device that seems awake may answer, this wait, and the time of the device that has woken.
LONGEST_WAIT = 10.0
MARGIN_MS = 2000  # how much longer the copy's own deadline has to be heard of
NOBODY = "The device did not wake in time"

_CALL = "$avp(nb_call)"
_DEVICE = "$avp(nb_sleeper)"
_TRIED = "$avp(nb_tried)"  # the binding that the request was sent to
_TARGET = "$avp(nb_target)"
_HELD = "$avp(nb_held)"
_REPLY = "$avp(nb_reply)"  # the reply route of the request


def aim(node: Node) -> str:
    """The device that this request names by its PURR, ``""`` for none; the request then goes to where that is bound now.

    It may have come back by another flow than the one that its dialog began on.
    """
    target = ksr.pv("$ru")
    device = purr.device_in(target, node.key)
    if not device:
        return ""
    ksr.pv_set(_DEVICE, device)
    ksr.pv_set(_TARGET, target)
    uri = node.device_uri(device)
    tried = inbound.bound_by(uri)
    if ksr.ruri_to(uri):
        ksr.set_ruri(target)
        ksr.pv_set(_TRIED, tried or uri)
    return device


def send(node: Node, call: str, reply_route: str) -> int:
    """Send a request that was aimed: to its device, or when that sleeps to the park socket."""
    ksr.pv_set(_CALL, call)
    ksr.pv_set(_REPLY, reply_route)
    if ksr.pv(_TRIED):
        ksr.tm_on_failure("ksr_failure_dialog")
        if ksr.tm_relay():
            return 1
    if not _put_aside(node):
        ksr.reply_error()
    return 1


def _put_aside(node: Node) -> bool:
    device, call, method = ksr.pv(_DEVICE), ksr.pv(_CALL), ksr.method()
    document = devices.get(device)
    order = {
        "call": call,
        "connection": document.connection if document else "",
        "aor": document.aor if document else "",
        "asleep": [device],
        "deadline": time.time() + LONGEST_WAIT,
        "early_ringing": False,
        "purpose": "request",
    }
    ksr.pv_set(_HELD, "1")
    ksr.remove_headers_like("X-Nightbell[^:]*")
    ksr.append_header(f"{wake.HEADER}: {wire.dumps(order)}")
    ksr.append_header(letters.label(ksr.pv(_TRIED), target=ksr.pv(_TARGET)))
    ksr.set_ruri(letters.held_for(node, device))
    ksr.reset_next_hop()
    wait = int(LONGEST_WAIT * 1000) + letters.DELIVERY_MS + MARGIN_MS
    ksr.tm_wait(wait, wait + letters.LONG_DELIVERY_MS)
    ksr.tm_on_reply(ksr.pv(_REPLY))
    ksr.tm_on_failure("ksr_failure_dialog")
    node.events.call(call, "request-held", device=device, reason=method)
    return ksr.tm_relay()


def goes_on(node: Node) -> bool:
    """Failure route: whether the request is put aside now, as the device said nothing by its binding, and sleeps behind it."""
    if not ksr.pv(_DEVICE) or ksr.tm_cancelled():
        return False
    code = ksr.tm_reply_code()
    if not ksr.pv(_HELD):
        return ksr.tm_timed_out() and not ksr.tm_was_replied() and _put_aside(node)
    if code in (408, 599):
        reason = wake.why_nobody_came(NOBODY)
        ksr.append_header_to_reply(f'Reason: SIP;cause=480;text="{reason}"')
        ksr.tm_reply(480, "Temporarily Unavailable")
        node.events.call(
            ksr.pv(_CALL),
            "request-failed",
            device=ksr.pv(_DEVICE),
            code=480,
            reason=f"{ksr.pv('$rm')}: {reason}",
        )
    return False
