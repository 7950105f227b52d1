"""SIP over WebSocket (RFC 7118): the handshake, on the ports that speak HTTP."""

from __future__ import annotations

from kemi import ksr
from kemi.node import Node


def handshake(node: Node) -> int:
    """Answer an HTTP request: a WebSocket handshake for subprotocol ``sip``, or a page that says what this port is."""
    if ksr.header("Upgrade").lower() != "websocket":
        ksr.http_reply(
            426, "Upgrade Required", "text/plain", "This port speaks SIP over WebSocket (RFC 7118).\n"
        )
        return 1
    if "sip" not in [p.strip().lower() for p in ksr.headers("Sec-WebSocket-Protocol").split(",")]:
        ksr.http_reply(400, "Bad Request", "text/plain", "Sec-WebSocket-Protocol must offer: sip\n")
        return 1
    # A page from elsewhere that is open in somebody's browser; what is no browser sends no Origin (RFC 6454, 7.3).
    origin, allowed = ksr.header("Origin").lower(), node.settings.origins.split()
    if origin and allowed and origin not in allowed:
        node.events.count("foreign-origin", origin[:80])
        ksr.http_reply(
            403, "Forbidden", "text/plain", "Pages of this origin may not connect (edge.origins).\n"
        )
        return 1
    ksr.websocket_handshake()
    return 1
