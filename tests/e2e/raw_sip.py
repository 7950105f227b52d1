"""SIP by hand, over sockets of its own: for messages that no phone sends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import secrets
import ssl

from sipmessage import Response

from demo.phone import digest
from demo.phone.message import parse

_FINAL = re.compile(rb"SIP/2\.0 ([2-6]\d\d) ")
STRANGER = "127.0.7.13"  # an address that is no PBX's
_STRANGERS = itertools.cycle(f"127.0.7.{number}" for number in range(14, 255))


def request(
    method: str,
    uri: str,
    *lines: str | bytes,
    source: tuple[str, int],
    protocol: str = "UDP",
    body: bytes = b"",
) -> bytes:
    """A request with what every request needs; ``lines`` replace headers of the same name, ``Name:`` alone removes it."""
    host, port = source
    headers: dict[bytes, list[bytes]] = {
        b"via": [
            f"Via: SIP/2.0/{protocol} {host}:{port};branch=z9hG4bK{secrets.token_hex(8)};rport".encode()
        ],
        b"max-forwards": [b"Max-Forwards: 70"],
        b"from": [f"From: <sip:stranger@nightbell.test>;tag={secrets.token_hex(4)}".encode()],
        b"to": [b"To: <sip:stranger@nightbell.test>"],
        b"call-id": [f"Call-ID: {secrets.token_hex(8)}".encode()],
        b"cseq": [f"CSeq: 1 {method}".encode()],
        b"contact": [f"Contact: <sip:stranger@{host}:{port}>".encode()],
        b"content-length": [b"Content-Length: 0"],
    }
    replaced: set[bytes] = set()
    for line in lines:
        data = line if isinstance(line, bytes) else line.encode()
        name = data.partition(b":")[0].strip().lower()
        if name not in replaced:
            headers[name] = []
            replaced.add(name)
        if data.partition(b":")[2]:
            headers[name].append(data)
    every = [line for values in headers.values() for line in values]
    return b"\r\n".join([f"{method} {uri} SIP/2.0".encode(), *every, b"", body])


class UdpSocket(asyncio.DatagramProtocol):
    """One UDP socket; ``ask`` sends and waits for a final answer."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None
        self.source = ("", 0)

    async def open(self, address: str = STRANGER) -> UdpSocket:
        """Bind a port of the system's choice."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (address, 0))
        self.source = self._transport.get_extra_info("sockname")[:2]
        return self

    async def __aenter__(self) -> UdpSocket:
        return await self.open() if self._transport is None else self

    async def __aexit__(self, *exception: object) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep it for ``ask``."""
        self._answers.put_nowait(data)

    def send(self, data: bytes) -> None:
        """Send one datagram."""
        assert self._transport is not None, "open() it first"
        self._transport.sendto(data, self._server)

    async def ask(self, data: bytes, within: float = 2.0) -> int:
        """Send; the status of the final answer, 0 without one."""
        found = _FINAL.match(await self.answer_to(data, within))
        return int(found.group(1)) if found else 0

    async def answer_to(self, data: bytes, within: float = 2.0) -> bytes:
        """Send; the final answer as it came, empty without one."""
        self.send(data)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    answer = await self._answers.get()
                    if _FINAL.match(answer):
                        return answer
        return b""

    async def ask_as(
        self, user: str, password: str, method: str, uri: str, *lines: str | bytes, body: bytes = b""
    ) -> int:
        """Send a request, answer the challenge to it as this device, and return the status of what follows."""
        first = request(method, uri, *lines, source=self.source, body=body)
        challenge = parse(await self.answer_to(first))
        assert isinstance(challenge, Response)
        if challenge.code not in (401, 407):
            return challenge.code
        offered = digest.challenges(challenge)[0]
        proof = digest.answer(offered, method=method, uri=uri, username=user, password=password)
        proven = [f"{offered.header}: {proof}", f"CSeq: 2 {method}"]
        again = request(method, uri, *lines, *proven, source=self.source, body=body)
        return await self.ask(again)


class TcpSocket:
    """One connection; what it is told is what the test gives it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        host, port = writer.get_extra_info("sockname")
        self.source = (str(host), int(port))

    @classmethod
    async def open(cls, server: tuple[str, int], tls: ssl.SSLContext | None = None) -> TcpSocket:
        """Connect from an address of its own.

        What Kamailio still has for a connection that has gone reaches whoever has its address and port now.
        """
        host, port = server
        reader, writer = await asyncio.open_connection(
            host,
            port,
            local_addr=(next(_STRANGERS), 0),
            ssl=tls,
            server_hostname="nightbell.test" if tls else None,
        )
        return cls(reader, writer)

    async def __aenter__(self) -> TcpSocket:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Send; the other side may have closed already."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def answered_or_closed(self, data: bytes, within: float = 3.0) -> str:
        """Send; ``closed``, or the first line of what comes back, or ``silence``."""
        await self.send(data)
        try:
            async with asyncio.timeout(within):
                came = await self._reader.read(65536)
        except TimeoutError:
            return "silence"
        except ConnectionError:
            return "closed"
        return came.partition(b"\r\n")[0].decode("latin-1") if came else "closed"

    async def closed(self, within: float = 5.0) -> bool:
        """Whether the other side closes, whatever it says before."""
        try:
            async with asyncio.timeout(within):
                while await self._reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    async def upgrade(self) -> None:
        """Turn the connection into a WebSocket for SIP (RFC 7118)."""
        await self.send(
            b"GET / HTTP/1.1\r\nHost: nightbell.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: sip\r\n\r\n"
        )
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 3.0)
        assert re.match(rb"HTTP/1\.1 101 ", head), head


def frame(payload: bytes, *, opcode: int = 1, masked: bool = True, length: int | None = None) -> bytes:
    """A WebSocket frame (RFC 6455 §5.2) that claims ``length`` octets, those of the payload unless given."""
    claimed = len(payload) if length is None else length
    head = bytes([0x80 | opcode])
    bit = 0x80 if masked else 0
    if claimed < 126:
        head += bytes([bit | claimed])
    elif claimed < 1 << 16:
        head += bytes([bit | 126]) + claimed.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + claimed.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = secrets.token_bytes(4)
    return head + key + bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))
