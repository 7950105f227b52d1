"""A small SIP registrar and stateless proxy for these tests, on UDP, TCP, TLS, WS and WSS.

It shares no code with the phone, so that one's mistakes are not the other's.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aiohttp import WSMsgType, web
from sipmessage import Message, Request, Response

Send = Callable[[bytes], None]
Parsed = Request | Response


@dataclass
class Flow:
    """A way back to one phone."""

    name: str
    send: Send


@dataclass
class Binding:
    """One registered contact: its header value and URI, and the flow it came over."""

    contact: str
    uri: str
    flow: Flow


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, board: Switchboard) -> None:
        self.board = board
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        transport = self.transport
        self.board.receive(data, Flow("UDP", lambda raw: transport.sendto(raw, addr)))


class Switchboard:
    """``algorithm`` is the digest's; ``challenge`` the methods that need one; ``lose`` is asked for each UDP message
    whether it gets lost on its way, and told its direction (``in``: towards the switchboard).
    """

    def __init__(self, domain: str, passwords: dict[str, str], tls: Path) -> None:
        self.domain, self.passwords, self._tls = domain, passwords, tls
        self.algorithm = "MD5"
        self.challenge = {"REGISTER"}
        self.lose: Callable[[Parsed, str], bool] = lambda message, direction: False
        self.min_expires = 0
        self.bindings: dict[str, Binding] = {}
        self.registers: list[Request] = []
        self.seen: list[Parsed] = []
        self._addresses: dict[str, tuple[str, int]] = {}
        self._nonces: set[str] = set()
        self._answers: dict[str, Flow] = {}
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        self._runners: list[web.AppRunner] = []
        self._tasks: set[asyncio.Future[None]] = set()
        self._udp: asyncio.DatagramTransport | None = None

    def address(self, transport: str) -> tuple[str, int]:
        """Where this transport listens."""
        return self._addresses[transport]

    async def start(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._tls / "cert.pem", self._tls / "key.pem")
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), (host, 0))
        self._addresses["udp"] = self._udp.get_extra_info("sockname")
        for name, tls in (("tcp", None), ("tls", context)):
            server = await asyncio.start_server(self._serve(name.upper()), host, 0, ssl=tls)
            self._servers.append(server)
            self._addresses[name] = server.sockets[0].getsockname()
        for name, tls in (("ws", None), ("wss", context)):
            app = web.Application()
            app.router.add_get("/ws", self._serve_ws(name.upper()))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, host, 0, ssl_context=tls).start()
            self._runners.append(runner)
            self._addresses[name] = runner.addresses[0]

    async def stop(self) -> None:
        await self.hang_up()
        for server in self._servers:
            server.close()
            await server.wait_closed()
        for runner in self._runners:
            await runner.cleanup()
        if self._udp is not None:
            self._udp.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def hang_up(self) -> None:
        """Close every connection."""
        for writer in list(self._writers):
            writer.close()
        for socket in list(self._sockets):
            await socket.close()

    def receive(self, data: bytes, flow: Flow) -> None:
        try:
            message = Message.parse(data)
        except ValueError:
            flow.send(
                b"SIP/2.0 400 Bad Request\r\nVia: x\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: 1 X\r\n\r\n"
            )
            return
        if flow.name == "UDP" and self.lose(message, "in"):
            return
        self.seen.append(message)
        if isinstance(message, Response):
            self._forward_response(message)
        elif message.method == "REGISTER":
            self._register(message, flow)
        elif message.method in self.challenge and "Proxy-Authorization" not in message.headers.keys():  # noqa: SIM118
            self._challenge(message, flow, 407)
        else:
            self._forward_request(message, flow)

    # -------------------------------------------------------------------------------------- registrar

    def _register(self, request: Request, flow: Flow) -> None:
        given = request.headers.get("Authorization")
        if "REGISTER" in self.challenge and (given is None or not self._is_right(given, "REGISTER")):
            self._challenge(request, flow, 401)
            return
        expires = int(request.headers.get("Expires") or "0")
        if 0 < expires < self.min_expires:
            self._reply(request, flow, 423, "Interval Too Brief", {"Min-Expires": str(self.min_expires)})
            return
        self.registers.append(request)
        contact = request.headers["Contact"]
        user = str(request.from_address.uri.user)
        if expires:
            self.bindings[user] = Binding(contact, contact[1 : contact.index(">")], flow)
        else:
            self.bindings.pop(user, None)
        self._reply(request, flow, 200, "OK", {"Contact": f"{contact};expires={expires}"})

    def _hash(self, text: str) -> str:
        return (hashlib.md5 if self.algorithm == "MD5" else hashlib.sha256)(text.encode()).hexdigest()

    def _is_right(self, header: str, method: str) -> bool:
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', header))
        password = self.passwords.get(given["username"], "")
        first = self._hash(f"{given['username']}:{self.domain}:{password}")
        second = self._hash(f"{method}:{given['uri']}")
        middle = f"{given['nonce']}:{given['nc']}:{given['cnonce']}:auth"
        right = self._hash(f"{first}:{middle}:{second}") == given["response"]
        return right and given["nonce"] in self._nonces

    def _challenge(self, request: Request, flow: Flow, status: int) -> None:
        nonce = secrets.token_hex(8)
        self._nonces.add(nonce)
        name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        value = (
            f'Digest realm="{self.domain}", nonce="{nonce}", qop="auth,auth-int", algorithm={self.algorithm}'
        )
        self._reply(request, flow, status, "Unauthorized", {name: value})

    def _reply(self, request: Request, flow: Flow, code: int, phrase: str, extra: dict[str, str]) -> None:
        response = Response(code, phrase)
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            response.headers.setlist(name, list(request.headers.getlist(name)))
        if code > 100 and ";tag=" not in response.headers["To"]:
            response.headers.set("To", f"{response.headers['To']};tag=board")
        for name, value in {**extra, "Content-Length": "0"}.items():
            response.headers.set(name, value)
        self._send(response, flow)

    # ------------------------------------------------------------------------------------------ proxy

    def _forward_request(self, request: Request, flow: Flow) -> None:
        binding = self._target(request)
        if binding is None:
            if request.method != "ACK":
                self._reply(
                    request, flow, 480, "Temporarily Unavailable", {"Reason": 'Q.850;cause=20;text="asleep"'}
                )
            return
        if request.method == "INVITE":
            self._reply(request, flow, 100, "Trying", {})
            host, port = self.address("udp")
            request.headers.setlist(
                "Record-Route",
                [f"<sip:{host}:{port};lr;did=a1.b=>", *request.headers.getlist("Record-Route")],
            )
        route = request.headers.getlist("Route")
        if route:
            request.headers.setlist("Route", route[1:])
        above = request.headers.getlist("Via")
        branch = "z9hG4bK" + hashlib.sha256(above[0].encode()).hexdigest()[:16]
        self._answers[branch] = flow
        request.headers.setlist(
            "Via", [f"SIP/2.0/{binding.flow.name} switchboard.invalid;branch={branch}", *above]
        )
        raw = bytes(request)
        # A contact's own spelling, not the library's.
        raw = raw.replace(f" {request.uri} ".encode(), f" {binding.uri} ".encode(), 1)
        self._send(request, binding.flow, raw)

    def _target(self, request: Request) -> Binding | None:
        return self.bindings.get(str(request.uri.user))

    def _forward_response(self, response: Response) -> None:
        top, *rest = response.headers.getlist("Via")
        branch = re.search(r"branch=([^;]+)", top)
        flow = self._answers.get(branch.group(1)) if branch else None
        if flow is None:
            return
        response.headers.setlist("Via", rest)
        self._send(response, flow)

    def _send(self, message: Parsed, flow: Flow, raw: bytes = b"") -> None:
        if flow.name == "UDP" and self.lose(message, "out"):
            return
        flow.send(raw or bytes(message))

    # ------------------------------------------------------------------------------------ connections

    def _serve(self, name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            flow = Flow(name, writer.write)
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = re.search(rb"(?i)\ncontent-length:\s*(\d+)", head)
                    body = await reader.readexactly(int(length.group(1)) if length else 0)
                    self.receive(head.lstrip() + body, flow)
            except (asyncio.IncompleteReadError, OSError):
                pass
            finally:
                self._writers.discard(writer)
                writer.close()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._keep(asyncio.ensure_future(serve(reader, writer)))

        return accept

    def _serve_ws(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse(protocols=("sip",))
            await socket.prepare(request)
            self._sockets.add(socket)
            flow = Flow(name, lambda raw: self._keep(asyncio.ensure_future(socket.send_str(raw.decode()))))
            async for frame in socket:
                if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self.receive(frame.data.encode() if isinstance(frame.data, str) else frame.data, flow)
            self._sockets.discard(socket)
            return socket

        return serve

    def _keep(self, task: asyncio.Future[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
