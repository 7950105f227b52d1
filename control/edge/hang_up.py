"""Ends a call from outside: a BYE to both its sides, sent by Kamailio, which knows their dialog (RFC 3261, 15.1.1)."""

from __future__ import annotations

from typing import Any, Protocol

import structlog

from control.edge.errors import RpcError
from control.edge.rpc import Calls, Orders
from kemi.wire import TABLE_BYES, Bye

log = structlog.get_logger(__name__)

_DIFFERENCE = (
    "cseq_diff"  # by how much the CSeq towards the callee is ahead of the caller's own, as he was challenged
)


class Kamailio(Orders, Calls, Protocol):
    """Takes orders and answers questions."""


async def hang_up(kamailio: Kamailio, sip_call_id: str, caller: str, callee: str) -> None:
    """End the call with these tags; a call that Kamailio does not know is left alone.

    Module dialog forgets in its own BYE that it has been counting for the caller. So the callee gets one of ours, too.
    """
    try:
        known = await kamailio.call("dlg.dlg_list", sip_call_id, caller)
        ahead = next((int(v[_DIFFERENCE]) for v in known["variables"] if _DIFFERENCE in v), 0)
        if ahead:
            kamailio.order("htable.sets", TABLE_BYES, sip_call_id, _bye(known, ahead).encode())
    except (RpcError, KeyError, TypeError, ValueError) as error:
        log.warning("call-not-found", sip_call_id=sip_call_id, error=repr(error))
        return
    kamailio.order("dlg.terminate_dlg", sip_call_id, caller, callee)


def _bye(known: Any, ahead: int) -> Bye:
    """A BYE to the callee."""
    caller, callee = known["caller"], known["callee"]
    routes = [route.strip() for route in callee["route_set"].split(",") if route.strip()]
    headers = [
        f"From: <{known['from_uri']}>;tag={caller['tag']}",
        f"To: <{known['to_uri']}>;tag={callee['tag']}",
        f"Call-ID: {known['call-id']}",
        f"CSeq: {int(caller['cseq']) + ahead + 1} BYE",
        *(f"Route: {route}" for route in routes),
    ]
    next_hop = routes[0].strip("<>") if routes else callee["contact"]
    return Bye(callee["contact"], next_hop, callee["socket"], "".join(f"{h}\r\n" for h in headers))
