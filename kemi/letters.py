"""Requests that are held for one device: each is a transaction of our own that waits at the park socket until it registers.

A MESSAGE out of any dialog waits so (kemi/message.py), and a request within a dialog (kemi/held_request.py). Unlike a held call
nothing joins a transaction that rings: the held copy itself goes on its way.
"""

from __future__ import annotations

import json
import time

from kemi import inbound, ksr, nat, trust, wake, wake_rules, wire
from kemi.node import Node
from kemi.wake_rules import Entry

HEADER = "X-Nightbell-Letter"
TABLE_LETTERS = "letters"  # device -> what is held for it; "device/call" -> that it is not needed any more

DELIVERY_MS = 5000  # how long a device that has woken may take to answer
LONG_DELIVERY_MS = 60_000  # the same once it has said that it is looking at an INVITE

_CALL = "$avp(nb_call)"
_DEVICE = "$avp(nb_letter)"  # whom it is for, once it is on its way
_TARGET = "$avp(nb_target)"  # its Request-URI, of a request within a dialog


def label(flow: str = "", *, repeated: bool = False, target: str = "") -> str:
    """The header of a copy that goes to the park socket.

    ``flow`` is where the device was tried, as wake_rules.flow_word says it; ``repeated``: it is still tried there, so that the
    copy is for another flow alone. ``target`` is the Request-URI that the copy gets back on its way, ``""``: that of the
    device's binding.
    """
    return f"{HEADER}: {wire.dumps({'flow': flow, 'repeated': repeated, 'target': target})}"


def held_for(node: Node, device: str) -> str:
    """The Request-URI of a copy on its way to the park socket."""
    return f"sip:{device}@{node.settings.park}"


def hold(node: Node) -> int:
    """At the park socket: keep a copy until its device registers. It came from ourselves."""
    device, order, said = ksr.pv("$rU"), ksr.header(wake.HEADER), json.loads(ksr.header(HEADER))
    if not wake.hold(node, "ksr_failure_letter"):
        return 1
    # Whoever registers from here on finds it; whoever did a moment ago is found by the timer.
    entry = Entry(ksr.tm_id(), json.loads(order)["call"], said["flow"], time.time(), said["repeated"])
    with wake.HeldCalls(device, TABLE_LETTERS) as held:
        held.value = wake_rules.with_entry(held.value, entry)
    return 1


def claim(device: str, flow: str, now: float) -> list[Entry]:
    """The copies held for a device whose REGISTER, the request at hand, came by ``flow``; whoever claims them delivers them."""
    if not ksr.table_get(TABLE_LETTERS, device):
        return []
    return _claim(device, wake_rules.flow_word(flow, ksr.call_id(), ksr.cseq()), now)


def _claim(device: str, flow: str, now: float) -> list[Entry]:
    with wake.HeldCalls(device, TABLE_LETTERS) as held:
        entries = wake_rules.read_entries(held.value)
        due = [entry for entry in entries if entry.is_due(flow, now)]
        held.value = wake_rules.write_entries([entry for entry in entries if entry not in due])
    return due


def deliver(due: list[Entry]) -> None:
    """Let held copies go on their way; one whose deadline has come meanwhile is over."""
    for entry in due:
        ksr.tm_continue(entry.transaction, "ksr_continue_letter")


def dismiss(device: str, call: str) -> None:
    """The device has it by another way. If its copy has not reached the park socket yet, the timer finds it there."""
    ksr.table_set(TABLE_LETTERS, f"{device}/{call}", "1")
    _dismiss(device, call)


def _dismiss(device: str, call: str) -> None:
    with wake.HeldCalls(device, TABLE_LETTERS) as held:
        entries = wake_rules.read_entries(held.value)
        needless = [entry for entry in entries if entry.call == call]
        held.value = wake_rules.write_entries([entry for entry in entries if entry.call != call])
    if needless:
        ksr.table_remove(TABLE_LETTERS, f"{device}/{call}")
    for entry in needless:
        ksr.tm_continue(entry.transaction, "ksr_dismiss_letter")


def look_again(node: Node) -> int:
    """Timer, each second: a device that registered while its copy was being put aside gets it now."""
    now = time.time()
    for key, _ in ksr.table_items(TABLE_LETTERS):
        device, slash, call = key.partition("/")
        if slash:
            _dismiss(device, call)
        elif ksr.is_bound(uri := node.device_uri(device)):
            deliver(_claim(device, inbound.bound_by(uri), now))
    return 1


def dismissed(node: Node) -> int:
    """A held copy that is not needed, in its own transaction again."""
    wake.end(node, ksr.pv(wake.ID), "answered", "")
    ksr.tm_reply(599, wake.NOBODY_WOKE)
    return 1


def go_on(node: Node) -> int:
    """A held copy, in its own transaction again: it leaves for its device."""
    device, target = ksr.pv("$rU"), json.loads(ksr.header(HEADER))["target"]
    call = wake.end(node, ksr.pv(wake.ID), "answered", "")
    ksr.pv_set(_DEVICE, device)
    ksr.pv_set(_CALL, call)
    ksr.pv_set(_TARGET, target)
    ksr.remove_header(wake.HEADER)
    ksr.remove_header(HEADER)
    ksr.tm_wait(DELIVERY_MS, LONG_DELIVERY_MS)
    ksr.tm_on_reply("ksr_reply_letter")
    ksr.tm_on_failure("ksr_failure_letter")
    if not ksr.ruri_to(node.device_uri(device)):
        ksr.tm_reply(599, wake.NOBODY_WOKE)
        return 1
    if target:
        ksr.set_ruri(target)
        node.events.call(ksr.pv(_CALL), "request-out", device=device, reason=ksr.method())
    else:
        node.events.call(ksr.pv(_CALL), "message-out", device=device)
    if not ksr.tm_relay():
        ksr.tm_reply(599, wake.NOBODY_WOKE)
    return 1


def reply(node: Node) -> int:
    """Reply route of a copy that was held: its device has answered."""
    code = ksr.status()
    if ksr.pv(_TARGET):
        trust.remove_claims()
        if 100 < code < 300:
            nat.public_contact()
    tell(node, ksr.pv(_CALL), ksr.pv(_DEVICE), code, within_dialog=bool(ksr.pv(_TARGET)))
    return 1


def failure(node: Node) -> int:
    """Failure route of a held copy: its deadline has come, or the device did not take it."""
    device = ksr.pv(_DEVICE)
    if device:
        if ksr.tm_timed_out():
            tell(node, ksr.pv(_CALL), device, 408, within_dialog=bool(ksr.pv(_TARGET)))
        return 1
    if ksr.tm_cancelled():
        return 1
    wake.end(node, ksr.pv(wake.ID), "deadline", "")
    with wake.HeldCalls(ksr.pv("$rU"), TABLE_LETTERS) as held:
        held.value, _ = wake_rules.without_entry(held.value, ksr.tm_id())
    ksr.tm_reply(599, wake.NOBODY_WOKE)
    return 1


def tell(node: Node, call: str, device: str, code: int, *, within_dialog: bool = False) -> None:
    """Note a device's final answer in the journal; 408: it gave none."""
    if code < 200:
        return
    step = "request-answered" if within_dialog else "delivered" if code < 300 else "device-refused"
    node.events.call(call, step, device=device, code=code, reason="" if code == 408 else ksr.pv("$rr"))
