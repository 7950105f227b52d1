"""A PBX that says what the test tells it to, for what a real one does only when something is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from sipmessage import Request

from demo.phone.message import build_response, new_token, parse

Header = tuple[str, str]
Script = Callable[[Request], tuple[int, Iterable[Header]] | None]


class ScriptedPbx(asyncio.DatagramProtocol):
    """Answers each request over UDP with the status and headers that ``script`` gives for it; None: no answer."""

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self._script = script
        self._socket: asyncio.DatagramTransport | None = None
        self._peer = ("", 0)
        self.port = 0

    async def start(self, address: str) -> None:
        """Listen on a port of the system's choice."""
        loop = asyncio.get_running_loop()
        self._socket, _ = await loop.create_datagram_endpoint(lambda: self, (address, 0))
        self.port = self._socket.get_extra_info("sockname")[1]

    async def __aenter__(self) -> ScriptedPbx:
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def of(self, method: str) -> list[Request]:
        """The requests of a method, retransmissions included."""
        return [request for request in self.requests if request.method == method]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a message; answers to ours are of no interest."""
        message = parse(data)
        if not isinstance(message, Request):
            return
        self.requests.append(message)
        self._peer = addr
        told = self._script(message)
        if told is not None and message.method != "ACK":
            self.answer(message, *told)

    def answer(self, request: Request, status: int, headers: Iterable[Header]) -> None:
        """Answer a request, perhaps once more."""
        if self._socket is not None:
            response = build_response(request, status, tag=new_token(4), headers=headers)
            self._socket.sendto(bytes(response), self._peer)
