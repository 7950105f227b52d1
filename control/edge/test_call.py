"""A test call to one device: a sealed INVITE to Kamailio on this host, which ends as soon as the device rings.

A push for a call obliges an iPhone's app to report a call, so a test is a real one: it is woken, rung, and the caller gives up.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from dataclasses import dataclass, field

from control.domain.wake_test import LONGEST_S, call_id
from kemi.wire import HEADER_ERRAND, Errand

REASON = "Test call"
_RESEND_S = 0.5  # RFC 3261, T1


@dataclass(frozen=True)
class _Reply:
    code: int
    headers: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True)
class Place:
    """Where Kamailio listens for SIP by UDP, its domain, and the identity key that errands are sealed with."""

    address: str
    port: int
    domain: str
    key: bytes = field(repr=False)


class TestCall:
    """The call of one test (its id) to a device, which the journal knows by ``wake_test.call_id``."""

    __test__ = False  # to pytest

    def __init__(self, place: Place, test: str, device: str) -> None:
        self.call_id = call_id(test)
        self._place = place
        self._device = device
        self._tag, self._branch = secrets.token_hex(6), f"z9hG4bK{secrets.token_hex(8)}"

    async def run(self) -> int:
        """The final status of the call, 0 if nobody answered it at all; 487: the device rang, and was cancelled."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:
            link.connect((self._place.address, self._place.port))
            host, port = link.getsockname()
            own = f"{host}:{port}"
            errand = Errand(time.time() + LONGEST_S, REASON, device=self._device)
            sealed = f"{HEADER_ERRAND}: {errand.seal(self.call_id, self._place.key)}\r\n"
            invite = self._request("INVITE", own, 1, f"Contact: <sip:test@{own}>\r\n{sealed}")
            return await self._until_over(link, own, invite)

    async def _until_over(self, link: socket.socket, own: str, invite: bytes) -> int:
        loop = asyncio.get_running_loop()
        link.send(invite)
        until, pause, heard, cancelled = time.monotonic() + LONGEST_S, _RESEND_S, False, False
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(pause):
                    reply = _read(await loop.sock_recv(link, 65535))
            except ConnectionRefusedError:
                return 0
            except TimeoutError:
                if not heard:
                    link.send(invite)
                    pause *= 2
                    if pause > 4:
                        return 0
                continue
            heard, pause = True, 1.0
            if not reply.all("CSeq") or not reply.all("CSeq")[0].endswith("INVITE"):
                continue
            if reply.code >= 300:
                link.send(self._request("ACK", own, 1, to=reply.all("To")[0]))
                return reply.code
            if reply.code >= 200:
                self._hang_up(link, own, reply)
                return reply.code
            if reply.code > 100 and not cancelled:
                cancelled = True
                link.send(self._request("CANCEL", own, 1))
        return 0

    def _hang_up(self, link: socket.socket, own: str, reply: _Reply) -> None:
        """It was answered before the CANCEL arrived."""
        route = [part for value in reply.all("Record-Route") for part in value.split(",")]
        headers = f"Route: {', '.join(part.strip() for part in reversed(route))}\r\n" if route else ""
        target = reply.all("Contact")[0].partition("<")[2].partition(">")[0] or f"sip:errand@{own}"
        for method, number in (("ACK", 1), ("BYE", 2)):
            self._branch = f"z9hG4bK{secrets.token_hex(8)}"
            link.send(self._request(method, own, number, headers, to=reply.all("To")[0], uri=target))

    def _request(
        self, method: str, own: str, number: int, headers: str = "", to: str = "", uri: str = ""
    ) -> bytes:
        address = f"sip:errand@{self._place.address}:{self._place.port}"
        return (
            f"{method} {uri or address} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {own};branch={self._branch};rport\r\n"
            f'From: "Nightbell test" <sip:test@{self._place.domain}>;tag={self._tag}\r\n'
            f"To: {to or f'<{address}>'}\r\nCall-ID: {self.call_id}\r\nCSeq: {number} {method}\r\n"
            f"Max-Forwards: 70\r\n{headers}Content-Length: 0\r\n\r\n"
        ).encode()


def _read(datagram: bytes) -> _Reply:
    lines = datagram.decode(errors="replace").partition("\r\n\r\n")[0].split("\r\n")
    words = lines[0].split(" ")
    code = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    pairs = (line.partition(":") for line in lines[1:])
    return _Reply(code, tuple((name.strip(), value.strip()) for name, _, value in pairs))
