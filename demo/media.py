"""What rtpengine knows of a call: the proof that audio flows through it."""

from __future__ import annotations

import json
import secrets
import socket
from typing import Any


def relayed_packets(address: str, ng_port: int, call_id: str) -> int:
    """How many RTP packets rtpengine has relayed for a SIP Call-ID; 0 when it does not know that call.

    Asked by the ``query`` command of its control protocol, in JSON; TimeoutError without an answer in 2 s.
    """
    cookie = secrets.token_hex(6)
    question = json.dumps({"command": "query", "call-id": call_id})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(2.0)
        link.connect((address, ng_port))
        link.send(f"{cookie} {question}".encode())
        answer: dict[str, Any] = json.loads(link.recv(1 << 16).partition(b" ")[2])
    total = answer.get("totals", {}).get("RTP", {})
    return int(total.get("packets", 0))
