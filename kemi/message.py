"""A MESSAGE (RFC 3428), from the PBX to a person's devices and from a device to the PBX.

Towards devices it is held as a call is, one copy for each device that sleeps: a transaction of our own that waits at the park
socket until its device registers. A MESSAGE is never cancelled, so the copies go on their way though a device that is
awake has taken the message already.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from kemi import auth, call_mark, ksr, outbound, wake, wire
from kemi.auth import Origin
from kemi.documents import lines
from kemi.node import Node

# A call may wait longer: whoever sent a MESSAGE gives up after 32 s (RFC 3261, 17.1.2.2: timer F).
LONGEST_WAIT = 25.0
MARGIN_MS = 2000  # how much longer the copies' own deadline has to be heard of
DELIVERY_MS = 5000  # how long a device that has woken may take to answer
MOST_BYTES = 8192  # of a body: with the headers it must fit a datagram to ourselves
MOST_A_MINUTE = 60  # from one device

TABLE_LETTERS = "letters"  # device -> the messages held for it
TABLE_SENT = "sent"  # device -> how many messages it has sent in this minute

_CALL = "$avp(nb_call)"
_CONNECTION = "$avp(nb_connection)"
_ORDER = "$avp(nb_waking)"
_WHY = "$avp(nb_why)"  # why the edge agent gave up waking
_DEVICE = "$avp(nb_letter)"  # of a held copy: whom it is for, once it is on its way

# The devices of the branches that this process is adding right now, as in kemi.inbound.
_adding: list[str] = []


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
        sip_call_id=ksr.pv("$ci"),
    )
    documents = [d for d in (lines.get(a) for a in origin.aors) if d is not None]
    awake, asleep = _who(node, documents)
    ksr.pv_set(_CALL, call)
    ksr.tm_routes("ksr_branch_message", "ksr_reply_message", "ksr_failure_message")
    if asleep:
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
    if not _fork(node, awake, asleep):
        return _refuse(node, call, 480, "No device is awake")
    return 1


def _who(node: Node, documents: list[wire.LineDoc]) -> tuple[list[str], list[str]]:
    """The devices that are awake, and those that sleep and are woken for messages."""
    awake: dict[str, None] = {}
    asleep: dict[str, None] = {}
    for document in documents:
        for device in document.devices:
            if ksr.is_bound(node.device_uri(device.id)):
                awake[device.id] = None
            elif document.messages:
                asleep[device.id] = None
    return list(awake), list(asleep)


def _fork(node: Node, awake: list[str], asleep: list[str]) -> bool:
    """Send the message to the devices that are awake, and a copy for each that sleeps to the park socket."""
    _adding.clear()
    if asleep:
        ksr.set_ruri(_held_for(node, asleep[0]))
        ksr.reset_next_hop()
        for device in asleep[1:]:
            ksr.branch_to_uri(_held_for(node, device))
        _adding.extend(asleep)
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


def _held_for(node: Node, device: str) -> str:
    return f"sip:{device}@{node.settings.park}"


def branch(node: Node) -> int:
    """Branch route: the message leaves for a device, or a copy for the park socket."""
    index = ksr.tm_branch()
    device = _adding[index] if index < len(_adding) else _adding[-1]
    if ksr.pv("$ru").endswith(node.settings.park):
        ksr.append_header(f"{wake.HEADER}: {wire.dumps({**json.loads(ksr.pv(_ORDER)), 'asleep': [device]})}")
        return 1
    ksr.pv_set(f"$avp(nb_device{index})", device)
    node.events.call(ksr.pv(_CALL), "message-out", device=device)
    return 1


def reply(node: Node) -> int:
    """Reply route: a device, or the park socket for one, has answered."""
    code = ksr.pv_int("$rs")
    device = ksr.pv(f"$avp(nb_device{ksr.tm_branch()})")
    if device:
        _tell(node, ksr.pv(_CALL), device, code)
    elif code == 599 and ksr.pv("$rr") != wake.NOBODY_WOKE:
        ksr.pv_set(_WHY, ksr.pv("$rr"))
        wake.given_up(node, ksr.via_branch(), ksr.pv("$rr"))
    return 1


def failure(node: Node) -> int:
    """Failure route: nobody took it."""
    code = ksr.tm_reply_code()
    reason = ""
    if code in (408, 599):
        reason = ksr.pv(_WHY) or "No device took the message in time"
        code = 480
        ksr.append_header_to_reply(f'Reason: SIP;cause=480;text="{reason}"')
        ksr.tm_reply(480, "Temporarily Unavailable")
    node.events.call(ksr.pv(_CALL), "failed", code=code, reason=reason)
    return 1


# ------------------------------------------------------------------------------------------ held copies


class Letter(NamedTuple):
    """A held copy: its transaction, and the reference of its message."""

    transaction: str
    call: str


def hold(node: Node) -> int:
    """At the park socket: keep a copy until its device registers. It came from ourselves."""
    device, order = ksr.pv("$rU"), ksr.header(wake.HEADER)
    if not wake.hold(node, "ksr_failure_letter"):
        return 1
    # Whoever registers from here on finds it; whoever did a moment ago is found by the timer.
    with _letters(device) as letters:
        letters.append(f"{ksr.tm_id()}/{json.loads(order)['call']}")
    return 1


def claim(device: str) -> list[Letter]:
    """The copies held for a device that is there now; whoever claims them delivers them."""
    if not ksr.table_get(TABLE_LETTERS, device):
        return []
    with _letters(device) as letters:
        claimed = [Letter(*letter.split("/")) for letter in letters]
        letters.clear()
    return claimed


def _strike_out(device: str, transaction: str) -> None:
    with _letters(device) as letters:
        letters[:] = [letter for letter in letters if not letter.startswith(f"{transaction}/")]


@contextmanager
def _letters(device: str) -> Iterator[list[str]]:
    """The note of the copies held for a device, locked; what is left in the list is kept."""
    ksr.table_lock(TABLE_LETTERS, device)
    try:
        letters = ksr.table_get(TABLE_LETTERS, device).split()
        yield letters
        if letters:
            ksr.table_set(TABLE_LETTERS, device, " ".join(letters))
        else:
            ksr.table_remove(TABLE_LETTERS, device)
    finally:
        ksr.table_unlock(TABLE_LETTERS, device)


def deliver(letters: list[Letter]) -> None:
    """Let held copies go on their way; one whose deadline has come meanwhile is over."""
    for letter in letters:
        ksr.tm_continue(letter.transaction, "ksr_continue_letter")


def look_again(node: Node) -> int:
    """Timer, each second: a device that registered while its copy was being put aside gets it now."""
    for device, _ in ksr.table_items(TABLE_LETTERS):
        if ksr.is_bound(node.device_uri(device)):
            deliver(claim(device))
    return 1


def go_on(node: Node) -> int:
    """A held copy, in its own transaction again: it leaves for its device."""
    device = ksr.pv("$rU")
    order = wake.end(node, ksr.pv(wake.ID), "answered", "")
    ksr.pv_set(_DEVICE, device)
    ksr.pv_set(_CALL, str(order.get("call", "")))
    ksr.remove_header(wake.HEADER)
    ksr.tm_wait(DELIVERY_MS)
    ksr.tm_routes(reply="ksr_reply_letter", failure="ksr_failure_letter")
    if not ksr.ruri_to(node.device_uri(device)):
        ksr.tm_reply(599, wake.NOBODY_WOKE)
        return 1
    node.events.call(ksr.pv(_CALL), "message-out", device=device)
    if not ksr.tm_relay():
        ksr.tm_reply(599, wake.NOBODY_WOKE)
    return 1


def letter_reply(node: Node) -> int:
    """Reply route of a copy that was held: its device has answered."""
    _tell(node, ksr.pv(_CALL), ksr.pv(_DEVICE), ksr.pv_int("$rs"))
    return 1


def letter_failure(node: Node) -> int:
    """Failure route of a held copy: its deadline has come, or the device did not take it."""
    if ksr.pv(_DEVICE):
        if ksr.tm_timed_out():
            _tell(node, ksr.pv(_CALL), ksr.pv(_DEVICE), 408)
        return 1
    wake.end(node, ksr.pv(wake.ID), "deadline", "")
    _strike_out(ksr.pv("$rU"), ksr.tm_id())
    ksr.tm_reply(599, wake.NOBODY_WOKE)
    return 1


def _tell(node: Node, call: str, device: str, code: int) -> None:
    if code >= 200:
        step = "delivered" if code < 300 else "device-refused"
        node.events.call(call, step, device=device, code=code, reason="" if code == 408 else ksr.pv("$rr"))


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
        sip_call_id=ksr.pv("$ci"),
    )
    way = outbound.way(node, document.connection, outbound.called())
    if isinstance(way, outbound.NoWay):
        return _refuse(node, call, way.code, way.reason)
    outbound.leave_by(node, way)
    ksr.pv_set(_CALL, call)
    ksr.pv_set(_CONNECTION, document.connection)
    ksr.tm_routes(reply="ksr_reply_message_out", failure="ksr_failure_message_out")
    node.events.call(call, "message-out", connection=document.connection)
    if not ksr.tm_relay():
        ksr.reply_error()
        node.events.call(call, "failed", code=500, reason="the PBX could not be reached")
    return 1


def reply_out(node: Node) -> int:
    """Reply route: the PBX has answered."""
    code = ksr.pv_int("$rs")
    if 200 <= code < 300:
        node.events.call(ksr.pv(_CALL), "delivered", code=code)
    return 1


def failure_out(node: Node) -> int:
    """Failure route: answer the PBX's challenge once."""
    call, code = ksr.pv(_CALL), ksr.tm_reply_code()
    if code in (401, 407):
        if outbound.answer_challenge(node, call, ksr.pv(_CONNECTION), code):
            ksr.tm_routes(reply="ksr_reply_message_out", failure="ksr_failure_message_out")
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
