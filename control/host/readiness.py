"""Questions that tell whether a program is at work, each asked over the door that others will use."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from control.host import ng as control_ng
from control.host import rpc
from control.host.ng import NgError
from control.host.rpc import RpcError

_PATIENCE = 0.5  # seconds for one answer; the question is asked again


def ng(address: str, port: int) -> bool:
    """Whether rtpengine answers a ping on its control port."""
    try:
        return control_ng.ask(address, port, "ping", within=_PATIENCE).get("result") == "pong"
    except NgError:
        return False


def kamailio(rpc_socket: Path, address: str, sip_port: int) -> bool:
    """Whether Kamailio answers JSON-RPC and accepts SIP connections."""
    return rpc_answers(rpc_socket) and tcp(address, sip_port)


def rpc_answers(path: Path) -> bool:
    """Whether a JSON-RPC datagram to this Unix socket is answered."""
    try:
        rpc.ask(path, "core.uptime", within=_PATIENCE)
    except RpcError:
        return False
    return True


def tcp(address: str, port: int) -> bool:
    """Whether a TCP connection is accepted."""
    try:
        with socket.create_connection((address, port), _PATIENCE):
            return True
    except OSError:
        return False


def web(address: str, port: int, path: str = "/health") -> bool:
    """Whether a web server answers at all; what it says about the others' health is not asked here."""
    connection = http.client.HTTPConnection(address, port, timeout=_PATIENCE * 4)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 600
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def written_since(path: Path, start: Path) -> bool:
    """Whether a program has written this file since its start: not one left over from its last life."""
    try:
        return path.stat().st_mtime_ns >= start.stat().st_mtime_ns
    except OSError:
        return False
