"""Held calls: the park branch, a transaction of our own that waits on loopback while a device wakes.

Kamailio's own transaction layer keeps its deadline and answers its CANCEL, whether the edge agent lives or not; the agent is
told of it, again each second until it says that it has taken charge.
"""

from __future__ import annotations

import time

from kemi import ksr, wire
from kemi.node import Node

HEADER = "X-Nightbell-Wake"
TABLE_PARK = "park"  # device -> the calls held for it
TABLE_ENDED = "ended"  # device -> "call;state", so that a late device learns what became of its call

NOBODY_WOKE = "Nobody Woke"  # reason phrase of the park branch's 599 at the deadline

ID = "$avp(nb_wake)"  # of the park transaction

# How each WakeEvent and WakeEndEvent begins. Their words are our own, which JSON need not escape.
_EVENT = wire.event_head(wire.WakeEvent)
_END_EVENT = wire.event_head(wire.WakeEndEvent)


class HeldCalls:
    """The note of what is held for a device, locked while in the ``with`` block; what is left in ``value`` is kept."""

    __slots__ = ("_before", "_device", "_table", "value")

    def __init__(self, device: str, table: str = TABLE_PARK) -> None:
        self._device = device
        self._table = table
        self.value = self._before = ""

    def __enter__(self) -> HeldCalls:
        ksr.table_lock(self._table, self._device)
        try:
            self.value = self._before = ksr.table_get(self._table, self._device)
        except BaseException:
            ksr.table_unlock(self._table, self._device)
            raise
        return self

    def __exit__(self, error: object, *_: object) -> None:
        try:
            if error is None and self.value != self._before:
                if self.value:
                    ksr.table_set(self._table, self._device, self.value)
                else:
                    ksr.table_remove(self._table, self._device)
        finally:
            ksr.table_unlock(self._table, self._device)


def request(node: Node) -> int:
    """Whatever arrives at the park socket: only our own INVITEs, their CANCELs and ACKs."""
    method = ksr.method()
    if not is_ours(node):
        node.events.count("stranger-at-park", ksr.source_address())
        if method != "ACK":
            ksr.reply_stateless(403, "Forbidden")
        return 1
    if method == "INVITE":
        hold(node, "ksr_failure_park")
        return 1
    if method == "CANCEL":
        return _cancel(node)
    if method == "ACK":
        ksr.tm_matches()
        return 1
    ksr.reply_stateless(405, "Method Not Allowed")
    return 1


def is_ours(node: Node) -> bool:
    """Whether a message at the park socket left one of our own sockets: nobody else can have their ports."""
    return (ksr.source_address(), ksr.source_port()) in node.settings.parking_sockets


def hold(node: Node, failure_route: str) -> bool:
    """Suspend this request until the deadline that its order names, and tell the edge agent; False: it is not held."""
    if ksr.tm_is_retransmission():
        return False
    now = time.time()
    wake_id, order = ksr.via_branch(), ksr.header(HEADER)
    try:
        left = int((float(_said(order, '"deadline":', ",")) - now) * 1000)
    except (ValueError, OverflowError):
        ksr.reply_stateless(400, "Not a Held Call")
        return False
    if not ksr.tm_new():
        return False
    # The order is what a WakeEvent says of the call, written by this very program: it goes on as it is.
    text = f'{_EVENT}"ts":{now!r},"id":"{wake_id}","transaction":"{ksr.tm_id()}",{order[1:]}'
    ksr.tm_on_failure(failure_route)
    ksr.pv_set(ID, wake_id)
    ksr.table_set(wire.TABLE_PARKED, wake_id, text)
    if left <= 0 or not ksr.tm_suspend(left):
        ksr.table_remove(wire.TABLE_PARKED, wake_id)
        ksr.tm_reply(599, "Not Held")
        return False
    node.events.send_encoded(text)
    return True


def _cancel(node: Node) -> int:
    if not ksr.tm_matches():
        return 1
    reason = ksr.header("Reason")
    ksr.tm_relay()
    end(node, ksr.via_branch(), "answered" if "cause=200" in reason else "cancelled", reason)
    return 1


def failure(node: Node) -> int:
    """Failure route of the park transaction: its deadline has come."""
    if ksr.tm_cancelled():
        return 1
    # Ended first: the reply below comes back to the held call's own transaction, which would take it for the agent's order.
    end(node, ksr.pv(ID), "deadline", "")
    ksr.tm_reply(599, NOBODY_WOKE)
    return 1


def has_ended(node: Node) -> bool:
    """Before the transaction layer sees a 599: whether it is that of a held call or request which is over, and so of no use.

    Of one that is not it says that nobody can be woken, or that nobody woke.
    """
    if not is_from_park(node):
        return False
    if not ksr.tm_matches():
        return True
    end(node, ksr.via_branch(), "given-up", ksr.pv("$rr"))
    return False


def why_nobody_came(otherwise: str) -> str:
    """In a failure route: why nobody can be woken, as the edge agent has said it; ``otherwise`` when it has not."""
    why = ksr.tm_reply_reason() if ksr.tm_reply_code() == 599 else ""
    return otherwise if why in ("", NOBODY_WOKE) else why.replace('"', "'")


def end(node: Node, wake_id: str, outcome: str, reason: str) -> str:
    """Strike the held call out and tell the edge agent; returns its reference, ``""`` if it was struck out before."""
    order = ksr.table_get(wire.TABLE_PARKED, wake_id)
    if not order:
        return ""
    ksr.table_remove(wire.TABLE_PARKED, wake_id)
    ksr.table_remove(wire.TABLE_ACKED, wake_id)
    call = _said(order, '"call":"', '"')
    why = f',"reason":{wire.dumps(reason)}' if reason else ""
    node.events.send_encoded(
        f'{_END_EVENT}"ts":{time.time()!r},"id":"{wake_id}","call":"{call}","outcome":"{outcome}"{why}}}'
    )
    return call


def _said(order: str, before: str, after: str) -> str:
    """What stands between these in an order: it is JSON of our own writing, and no text within it can hold a bare quote."""
    return order.partition(before)[2].partition(after)[0]


def is_belated(node: Node) -> bool:
    """Before the transaction layer sees a reply: whether it comes from the park socket for a call that is over.

    Without a transaction to take it, it would be passed on to the PBX, after the call's real answer.
    """
    return is_from_park(node) and not ksr.tm_matches()


def is_from_park(node: Node) -> bool:
    """Whether a reply was sent from the park socket, or by Nightbell itself through it."""
    return ksr.source_port() == node.settings.park_port and is_ours(node)


def tell_again(node: Node) -> int:
    """Timer, each second: tell the edge agent of every held call that it, in its present life, has not taken charge of."""
    boot = ksr.table_get(wire.TABLE_AGENT, "boot")
    for wake_id, text in ksr.table_items(wire.TABLE_PARKED):
        acked = ksr.table_get(wire.TABLE_ACKED, wake_id)
        if not acked or acked != boot:
            node.events.send_encoded(text)
    return 1
