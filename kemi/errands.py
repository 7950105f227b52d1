"""Calls that Nightbell places itself: INVITEs to its own SIP port, sealed, so that they take the path of every other call.

A call nobody woke for goes on to its person's fallback this way: its transaction gets one branch more, which leads back here. The
edge agent's test calls come so, too.
"""

from __future__ import annotations

import time

from kemi import inbound, ksr, outbound, wire
from kemi.documents import devices, lines
from kemi.node import Node
from kemi.wire import Errand, LineDevice


def of_request(node: Node) -> Errand | None:
    """The errand an INVITE is on, None when it carries none of ours."""
    if not ksr.has_header(wire.HEADER_ERRAND):
        return None
    return Errand.unseal(ksr.header(wire.HEADER_ERRAND), ksr.call_id(), node.key, time.time())


def invite(node: Node, errand: Errand) -> int:
    """Carry out an errand."""
    ksr.remove_headers_like("X-Nightbell[^:]*")
    if errand.number:
        return outbound.to_number(node, errand)
    document = devices.get(errand.device)
    line = lines.get(document.aor) if document else None
    device = next((d for d in line.devices if d.id == errand.device), None) if line else None
    if document is None or line is None:
        ksr.reply(404, "No Such Device")
        return 1
    return inbound.to_device(node, errand, document.aor, device or LineDevice(errand.device, True), line.wait)
