"""Opening the transport a phone asks for by name."""

from __future__ import annotations

from pathlib import Path

from demo.phone.errors import TransportError
from demo.phone.transport.port import Address, OnData, OnLost, Transport, client_tls
from demo.phone.transport.stream import StreamTransport
from demo.phone.transport.udp import UdpTransport
from demo.phone.transport.websocket import WebSocketTransport

KINDS = ("udp", "tcp", "tls", "ws", "wss")


async def open_transport(
    kind: str,
    *,
    server: Address,
    local: str,
    domain: str,
    ca_file: str | Path | None,
    on_data: OnData,
    on_lost: OnLost,
) -> Transport:
    """Open a way to ``server`` over ``kind`` from the address ``local``; raises TransportError.

    With TLS the certificate must be for ``domain``: the SIP domain is who the phone wants to talk to (RFC 5922 §4).
    """
    tls = client_tls(ca_file) if kind in ("tls", "wss") else None
    if kind == "udp":
        return await UdpTransport.open(local, on_data)
    if kind in ("tcp", "tls"):
        return await StreamTransport.open(server, local, tls, domain, on_data, on_lost)
    if kind in ("ws", "wss"):
        return await WebSocketTransport.open(server, local, tls, domain, on_data, on_lost)
    raise TransportError(f"unknown transport {kind!r}: one of {', '.join(KINDS)}")
