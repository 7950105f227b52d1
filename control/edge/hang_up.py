"""Ends a call from outside: a BYE to both its sides (RFC 3261, 15.1.1), sent by Kamailio, which knows their dialog.

Module dialog could send them itself, but not to a device that is not where its Contact says: in a browser, or behind NAT. And it
forgets in its own BYE that it has been counting for a caller that was challenged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from control.edge.errors import RpcError
from control.edge.rpc import Calls, Orders
from kemi.wire import TABLE_AGREED, TABLE_BYES, Bye

log = structlog.get_logger(__name__)

_DIFFERENCE = (
    "cseq_diff"  # by how much the CSeq towards the callee is ahead of the caller's own, as he was challenged
)
_DELETED = 5  # of module dialog


class Kamailio(Orders, Calls, Protocol):
    """Takes orders and answers questions."""


@dataclass(frozen=True)
class Sides:
    """The tags of caller and callee; ``device``: whose device is one of them, as ``id@domain``, empty if it is not known."""

    caller: str
    callee: str
    device: str = ""
    device_calls: bool = False


@dataclass(frozen=True)
class _Flow:
    """Where a device is reached, and by which of Kamailio's sockets."""

    next_hop: str
    socket: str


async def hang_up(kamailio: Kamailio, call: str, sip_call_id: str, sides: Sides) -> None:
    """End a call, by our reference and its Call-ID; one that Kamailio does not know is left alone."""
    try:
        known = await kamailio.call("dlg.dlg_list", sip_call_id, sides.caller)
        ahead = next((int(v[_DIFFERENCE]) for v in known["variables"] if _DIFFERENCE in v), 0)
        flow = await _flow(kamailio, sides.device) if sides.device else None
        byes = {
            "caller": _bye(known, ("callee", "to_uri"), ("caller", "from_uri"), 0),
            "callee": _bye(known, ("caller", "from_uri"), ("callee", "to_uri"), ahead),
        }
        if flow is not None:
            side = "caller" if sides.device_calls else "callee"
            byes[side] = Bye(byes[side].ruri, flow.next_hop, flow.socket, byes[side].headers)
    except (RpcError, KeyError, TypeError, ValueError) as error:
        log.warning("call-not-found", sip_call_id=sip_call_id, error=repr(error))
        return
    for side, bye in byes.items():
        kamailio.order("htable.sets", TABLE_BYES, f"{side} {sip_call_id}", bye.encode())
    kamailio.order("dlg.set_state", sip_call_id, sides.caller, sides.callee, _DELETED)
    kamailio.order("htable.delete", TABLE_AGREED, call)


async def _flow(kamailio: Kamailio, device: str) -> _Flow | None:
    """How the device has registered; None when it has not."""
    try:
        found = await kamailio.call("ul.lookup", "location", device)
    except RpcError:
        return None
    contact = found["Contacts"][0]["Contact"]
    received = str(contact["Received"])
    return _Flow(received, str(contact["Socket"])) if received.startswith("sip:") else None


def _bye(known: Any, sender: tuple[str, str], receiver: tuple[str, str], ahead: int) -> Bye:
    """A BYE from one side to the other, each given by the names of its leg and its address."""
    one, other = known[sender[0]], known[receiver[0]]
    routes = [route.strip() for route in other["route_set"].split(",") if route.strip()]
    headers = [
        f"From: <{known[sender[1]]}>;tag={one['tag']}",
        f"To: <{known[receiver[1]]}>;tag={other['tag']}",
        f"Call-ID: {known['call-id']}",
        f"CSeq: {int(one['cseq']) + ahead + 1} BYE",
        *(f"Route: {route}" for route in routes),
    ]
    next_hop = routes[0].strip("<>") if routes else other["contact"]
    return Bye(other["contact"], next_hop, other["socket"], "".join(f"{h}\r\n" for h in headers))
