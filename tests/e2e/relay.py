"""What rtpengine has in hand, asked by its own control protocol."""

from __future__ import annotations

import json
import secrets
import socket
from typing import Any

from demo.stack import Stack


def relayed_calls(stack: Stack) -> list[str]:
    """The SIP Call-IDs of the calls that rtpengine keeps ports for."""
    calls: list[str] = _ask(stack, {"command": "list"})["calls"]
    return calls


async def nothing_relayed(stack: Stack, within: float = 2.0) -> None:
    """Wait until rtpengine keeps no port for any call."""
    await stack.eventually(lambda: not relayed_calls(stack), "rtpengine has let go of every call", within)


def _ask(stack: Stack, question: dict[str, Any]) -> dict[str, Any]:
    media = stack.settings.rtpengine
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(2.0)
        link.connect((media.control, media.ng_port))
        link.send(f"{secrets.token_hex(6)} {json.dumps(question)}".encode())
        answer: dict[str, Any] = json.loads(link.recv(1 << 16).partition(b" ")[2])
        return answer
