"""Where a call goes when nobody wakes for it: another device, or a number through a connection, as its person chose."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kemi import ksr, wire
from kemi.auth import Origin
from kemi.node import Node
from kemi.wire import Errand, LineDoc

ERRAND = "$avp(nb_errand)"  # sealed, for as long as the call is being set up
BRANCH = "~fallback"  # what stands for the branch where others have their device

_BEGUN = "$avp(nb_fallback)"
_GRACE_S = 30.0  # a fallback may begin that long after the wait is over
# A number may lead back here in ways nobody can see, through a PBX that makes a new call of it. So many calls of one person have
# their fallback tried at once; the next one ends, and with it all that went round.
_AT_ONCE = 3


def sealed(
    node: Node, call: str, origin: Origin, documents: Sequence[LineDoc], wait: float, relayed: bool
) -> str:
    """The errand of the first of these lines that has a fallback, ``""`` when none has; ``relayed``: so is its media."""
    for line in documents:
        if line.fallback_device or line.fallback_number:
            errand = Errand(
                expires=time.time() + wait + _GRACE_S,
                reason=f"Fallback of call {call}",
                device=line.fallback_device,
                number=line.fallback_number,
                connection=line.fallback_connection or origin.connection,
                relayed=relayed,
                codecs=origin.document.codecs,
                dtmf=origin.document.dtmf,
            )
            return errand.seal(ksr.call_id(), node.key)
    return ""


def begin(node: Node, aor: str, call: str) -> str:
    """In words where the call goes on to; ``""`` when it has no fallback, or has had it."""
    body = ksr.pv(ERRAND)
    if not body or ksr.pv(_BEGUN):
        return ""
    errand = Errand.unseal(body, ksr.call_id(), node.key, time.time())
    ksr.pv_set(_BEGUN, "1")
    if errand is None:
        return ""
    if not _enter(aor, call):
        node.events.call(call, "fallback", reason="not tried: its calls seem to come back here")
        return ""
    return f"the number {errand.number} is called" if errand.number else f"{errand.device} is rung"


def over(aor: str, call: str) -> None:
    """The call is answered or has ended."""
    if ksr.pv(_BEGUN):
        _change(aor, lambda calls: [c for c in calls if c != call])


def _enter(aor: str, call: str) -> bool:
    calls = _change(aor, lambda calls: [*calls, call] if len(calls) < _AT_ONCE else calls)
    return call in calls


def _change(aor: str, change: Callable[[list[str]], list[str]]) -> list[str]:
    ksr.table_lock(wire.TABLE_FALLBACK, aor)
    try:
        calls = change(ksr.table_get(wire.TABLE_FALLBACK, aor).split())
        if calls:
            ksr.table_set(wire.TABLE_FALLBACK, aor, " ".join(calls))
        else:
            ksr.table_remove(wire.TABLE_FALLBACK, aor)
        return calls
    finally:
        ksr.table_unlock(wire.TABLE_FALLBACK, aor)
