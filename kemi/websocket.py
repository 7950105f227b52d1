"""SIP over WebSocket (RFC 7118): the handshake, on the ports that speak HTTP."""

from __future__ import annotations

from kemi import ksr


def handshake() -> int:
    """Answer an HTTP request: a WebSocket handshake for subprotocol ``sip``, or a page that says what this port is."""
    if ksr.header("Upgrade").lower() != "websocket":
        ksr.http_reply(
            426, "Upgrade Required", "text/plain", "This port speaks SIP over WebSocket (RFC 7118).\n"
        )
        return 1
    if "sip" not in [p.strip().lower() for p in ksr.headers("Sec-WebSocket-Protocol").split(",")]:
        ksr.http_reply(400, "Bad Request", "text/plain", "Sec-WebSocket-Protocol must offer: sip\n")
        return 1
    ksr.websocket_handshake()
    return 1
