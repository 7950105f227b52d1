"""One question to a running Kamailio over its JSON-RPC datagram socket, for people and tests; it waits for the answer."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path
from typing import Any

from control.host.errors import HostError


class RpcError(HostError):
    """Kamailio did not answer, or answered with an error; the text has its words."""

    id = "host-rpc"


def ask(rpc: Path, method: str, *params: str | int, within: float = 2.0) -> Any:
    """The ``result`` of a JSON-RPC call, of the shape Kamailio gives it. Raises RpcError."""
    question = {"jsonrpc": "2.0", "method": method, "params": list(params), "id": 1}
    with (
        tempfile.TemporaryDirectory(prefix="nightbell-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link,
    ):
        link.settimeout(within)
        try:
            link.bind(f"{folder}/reply")
            link.connect(str(rpc))
            link.send(json.dumps(question).encode())
            answer = json.loads(link.recv(1 << 18))
        except (OSError, ValueError) as error:
            raise RpcError(f"Kamailio does not answer {method} at {rpc}: {error}") from None
    if "result" not in answer:
        raise RpcError(f"Kamailio answers {method} with {answer.get('error')}")
    return answer["result"]
