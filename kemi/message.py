"""A MESSAGE (RFC 3428), from the PBX to a person's devices and from a device to the PBX.

Towards devices it is held as a call is, one copy for each device that sleeps, or may sleep behind its binding
(kemi/letters.py). A MESSAGE is never cancelled, so the copies go on their way though a device that is awake has taken the
message already.
"""

from __future__ import annotations

import json
import time

from kemi import auth, call_mark, inbound, ksr, letters, outbound, wake, wire
from kemi.auth import Origin
from kemi.documents import lines
from kemi.node import Node

# A call may wait longer: whoever sent a MESSAGE gives up after 32 s (RFC 3261, 17.1.2.2: timer F).
LONGEST_WAIT = 25.0
MARGIN_MS = 2000  # how much longer the copies' own deadline has to be heard of
MOST_BYTES = 8192  # of a body: with the headers it must fit a datagram to ourselves
MOST_A_MINUTE = 60  # from one device

TABLE_SENT = "sent"  # device -> how many messages it has sent in this minute

_CALL = "$avp(nb_call)"
_CONNECTION = "$avp(nb_connection)"
_ORDER = "$avp(nb_waking)"
_DOUBTFUL = "$avp(nb_doubtful)"  # the devices that were sent it and for which a copy is held as well

# The devices of the branches that this process is adding right now, as in kemi.inbound; and the binding each was tried by.
_adding: list[str] = []
_tried: dict[str, str] = {}


# ---------------------------------------------------------------------------------------- PBX to devices


def from_pbx(node: Node, origin: Origin) -> int:
    """Take a MESSAGE of a PBX; its source has been checked."""
    if _too_long():
        return 1
    call = call_mark.new_reference()
    caller = ksr.pv("$fU")[:128]
    aor = origin.aors[0] if origin.aors else ""
    ksr.remove_headers_like("X-Nightbell[^:]*")
    if not ksr.tm_new():
        return 1
    node.events.call(
        call,
        "message-in",
        connection=origin.connection,
        aor=aor,
        direction="in",
        caller=caller,
        sip_call_id=ksr.call_id(),
    )
    documents = [d for d in (lines.get(a) for a in origin.aors) if d is not None]
    awake, held = _who(node, documents)
    ksr.pv_set(_CALL, call)
    ksr.tm_on_branch("ksr_branch_message")
    ksr.tm_on_reply("ksr_reply_message")
    ksr.tm_on_failure("ksr_failure_message")
    if held:
        wait = min(LONGEST_WAIT, max(d.wait for d in documents))
        ksr.tm_wait(int(wait * 1000) + MARGIN_MS)
        order = {
            "call": call,
            "connection": origin.connection,
            "aor": aor,
            "deadline": time.time() + wait,
            "caller": caller,
            "caller_name": ksr.pv("$fn").strip('"')[:128],
            "early_ringing": False,
            "purpose": "message",
        }
        ksr.pv_set(_ORDER, wire.dumps(order))
        ksr.pv_set(_DOUBTFUL, " ".join(device for device, flow in held.items() if flow))
    if not _fork(node, awake, held):
        return _refuse(node, call, 480, "No device is awake")
    return 1


def _who(node: Node, documents: list[wire.LineDoc]) -> tuple[list[str], dict[str, str]]:
    """The devices that have a binding, and those for which the message is held, with the binding that may be stale.

    Held it is for those that are woken for messages: as with calls, an app may have been put to sleep behind its binding.
    """
    bound: dict[str, None] = {}
    held: dict[str, str] = {}
    for document in documents:
        for device in document.devices:
            uri = node.device_uri(device.id)
            if not document.messages:
                if ksr.is_bound(uri):
                    bound[device.id] = None
                continue
            flow = inbound.bound_by(uri)
            if flow:
                bound[device.id] = None
            if not flow or device.push:
                held[device.id] = flow
    return list(bound), held


def _fork(node: Node, awake: list[str], held: dict[str, str]) -> bool:
    """Send the message to the devices that have a binding, and the copies that are held to the park socket."""
    _adding.clear()
    _tried.clear()
    _tried.update(held)
    if held:
        first, *others = held
        ksr.set_ruri(letters.held_for(node, first))
        ksr.reset_next_hop()
        for device in others:
            ksr.branch_to_uri(letters.held_for(node, device))
        _adding.extend(held)
    else:
        while awake and not ksr.ruri_to(node.device_uri(awake[0])):
            awake.pop(0)
        if not awake:
            return False
        _adding.extend([awake.pop(0)] * (1 + ksr.branches()))
    for device in awake:
        before = ksr.branches()
        ksr.branch_to(node.device_uri(device))
        _adding.extend([device] * (ksr.branches() - before))
    return ksr.tm_relay()


def branch(node: Node) -> int:
    """Branch route: the message leaves for a device, or a copy for the park socket."""
    index = ksr.tm_branch()
    device = _adding[index] if index < len(_adding) else _adding[-1]
    if ksr.pv("$ru").endswith(node.settings.park):
        flow = _tried[device]
        whom = {"ringing" if flow else "asleep": [device]}
        ksr.append_header(f"{wake.HEADER}: {wire.dumps({**json.loads(ksr.pv(_ORDER)), **whom})}")
        # What was sent by its binding is repeated, or lies there, for as long as the copy waits.
        ksr.append_header(letters.label(flow, repeated=True))
        return 1
    ksr.pv_set(f"$avp(nb_device{index})", device)
    node.events.call(ksr.pv(_CALL), "message-out", device=device)
    return 1


def reply(node: Node) -> int:
    """Reply route: a device, or the park socket for one, has answered."""
    code = ksr.status()
    device = ksr.pv(f"$avp(nb_device{ksr.tm_branch()})")
    if device:
        letters.tell(node, ksr.pv(_CALL), device, code)
        if code >= 200 and device in ksr.pv(_DOUBTFUL).split():
            letters.dismiss(device, ksr.pv(_CALL))
    return 1


def failure(node: Node) -> int:
    """Failure route: nobody took it."""
    code = ksr.tm_reply_code()
    reason = ""
    if code in (408, 599):
        reason = wake.why_nobody_came("No device took the message in time")
        code = 480
        ksr.append_header_to_reply(f'Reason: SIP;cause=480;text="{reason}"')
        ksr.tm_reply(480, "Temporarily Unavailable")
    node.events.call(ksr.pv(_CALL), "failed", code=code, reason=reason)
    return 1


# ------------------------------------------------------------------------------------------ device to PBX


def from_device(node: Node) -> int:
    """Take a MESSAGE of a device: it goes out as a call does, in the connection's name."""
    device, document = auth.device(node)
    if document is None or _too_long():
        return 1
    if ksr.table_count(TABLE_SENT, device) > MOST_A_MINUTE:
        ksr.append_header_to_reply("Retry-After: 60")
        ksr.reply(403, "Too Many Messages")
        return 1
    call = call_mark.new_reference()
    node.events.call(
        call,
        "message-in",
        device=device,
        connection=document.connection,
        aor=document.aor,
        direction="out",
        callee=outbound.called(),
        sip_call_id=ksr.call_id(),
    )
    way = outbound.way(node, document.connection, outbound.called())
    if isinstance(way, outbound.NoWay):
        return _refuse(node, call, way.code, way.reason)
    outbound.leave_by(node, way)
    ksr.pv_set(_CALL, call)
    ksr.pv_set(_CONNECTION, document.connection)
    ksr.tm_on_reply("ksr_reply_message_out")
    ksr.tm_on_failure("ksr_failure_message_out")
    node.events.call(call, "message-out", connection=document.connection)
    if not ksr.tm_relay():
        ksr.reply_error()
        node.events.call(call, "failed", code=500, reason="the PBX could not be reached")
    return 1


def reply_out(node: Node) -> int:
    """Reply route: the PBX has answered."""
    code = ksr.status()
    if 200 <= code < 300:
        node.events.call(ksr.pv(_CALL), "delivered", code=code)
    return 1


def failure_out(node: Node) -> int:
    """Failure route: answer the PBX's challenge once."""
    call, code = ksr.pv(_CALL), ksr.tm_reply_code()
    if code in (401, 407):
        if outbound.answer_challenge(node, call, ksr.pv(_CONNECTION), code):
            ksr.tm_on_reply("ksr_reply_message_out")
            ksr.tm_on_failure("ksr_failure_message_out")
            if ksr.tm_relay():
                return 1
        code = outbound.refused_by_pbx()
    node.events.call(call, "failed", code=code)
    return 1


def _too_long() -> bool:
    """Whether the body is longer than can be carried; then it has been refused."""
    if ksr.pv_int("$bs") <= MOST_BYTES:
        return False
    ksr.reply_stateless(413, f"Message Longer Than {MOST_BYTES} Bytes")
    return True


def _refuse(node: Node, call: str, code: int, reason: str) -> int:
    ksr.append_header_to_reply(f'Reason: SIP;cause={code};text="{reason}"')
    ksr.reply(code, reason)
    node.events.call(call, "failed", code=code, reason=reason)
    return 1
