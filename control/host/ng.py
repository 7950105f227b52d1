"""One question to an rtpengine by its control protocol (ng, JSON over UDP), for people and tests; it waits for the answer."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Mapping
from typing import Any

from control.host.errors import HostError


class NgError(HostError):
    """rtpengine did not answer, or answered with an error; the text has its words."""

    id = "host-ng"


def ask(
    address: str, port: int, command: str, fields: Mapping[str, object] | None = None, within: float = 2.0
) -> dict[str, Any]:
    """What it answers to a command. Raises NgError."""
    cookie = secrets.token_hex(6)
    question = f"{cookie} {json.dumps({'command': command, **(fields or {})})}"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(within)
        try:
            link.connect((address, port))
            link.send(question.encode())
            answer = json.loads(link.recv(1 << 16).partition(b" ")[2])
        except (OSError, ValueError) as error:
            raise NgError(f"no rtpengine answers {command} at {address}:{port}: {error}") from None
    if not isinstance(answer, dict) or answer.get("result") == "error":
        raise NgError(f"rtpengine at {address}:{port} answers {command} with {str(answer)[:200]}")
    return answer
