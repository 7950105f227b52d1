"""The control port of one rtpengine, as the edge agent uses it: the ng protocol, JSON over UDP.

SIP workers have rtpengine do things through Kamailio's own module; here it is only asked, and told to forget.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from typing import Any

from control.edge.errors import MediaRelayError, RelayRefusedError

ATTEMPTS_S = (0.2, 0.4, 0.8)  # how long to wait for an answer before asking again, and at last giving up


class Rtpengine(asyncio.DatagramProtocol):
    """One rtpengine; ``name`` is what the settings call it. Opens its socket when first asked."""

    def __init__(self, name: str, address: str, port: int) -> None:
        self.name = name
        self._address = (address, port)
        self._transport: asyncio.DatagramTransport | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def ask(self, command: str, fields: Mapping[str, object] | None = None) -> dict[str, Any]:
        """What it answers to a command.

        Asked again while there is no answer; rtpengine does a command once, however often it comes with the same cookie.
        Raises MediaRelayError when there is none, or it is an error.
        """
        cookie = secrets.token_hex(6)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[cookie] = answer
        try:
            question = f"{cookie} {json.dumps({'command': command, **(fields or {})})}".encode()
            for patience in ATTEMPTS_S:
                (await self._opened()).sendto(question)
                done, _ = await asyncio.wait({answer}, timeout=patience)
                if done:
                    return _checked(self.name, command, answer.result())
            raise MediaRelayError(f"{self.name} does not answer {command} at {_place(self._address)}")
        finally:
            del self._answers[cookie]
            answer.cancel()

    def close(self) -> None:
        """Close the socket; what still waits for an answer gets an error."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _opened(self) -> asyncio.DatagramTransport:
        if self._transport is None:
            loop = asyncio.get_running_loop()
            try:
                self._transport, _ = await loop.create_datagram_endpoint(
                    lambda: self, remote_addr=self._address
                )
            except OSError as error:
                raise MediaRelayError(f"{self.name}: {error.strerror} ({_place(self._address)})") from None
        return self._transport

    # ----------------------------------------------------------------------------------- DatagramProtocol

    def datagram_received(self, data: bytes, addr: object) -> None:
        """An answer: a cookie and an object; anything else is passed over."""
        cookie, _, text = data.partition(b" ")
        answer = self._answers.get(cookie.decode("ascii", "replace"))
        if answer is None or answer.done():
            return
        try:
            found = json.loads(text)
        except ValueError:
            return
        if isinstance(found, dict):
            answer.set_result(found)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at that port (ICMP): there is no use in waiting."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(MediaRelayError(f"{self.name}: {exc} ({_place(self._address)})"))


def _checked(name: str, command: str, answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("result") == "error":
        raise RelayRefusedError(f"{name} answers {command} with {str(answer.get('error-reason'))[:200]!r}")
    return answer


def _place(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
