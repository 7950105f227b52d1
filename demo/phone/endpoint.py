"""One awake phone's transport and the transactions on it: bytes in, requests and responses out (RFC 3261 §17, §18)."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import time
from collections.abc import Callable
from typing import Protocol

from sipmessage import Request, Response

from demo.phone.client_transaction import ClientTransaction, OnResponse, key_of
from demo.phone.errors import AsleepError, UnreadableError
from demo.phone.message import (
    Recorded,
    branch_of,
    build_response,
    method_of,
    new_token,
    parse,
    tag_of,
)
from demo.phone.server_transaction import ServerTransaction
from demo.phone.timers import Timers
from demo.phone.transport.port import Address, Transport


class Journal:
    """Everything a phone has sent and received, in order; it outlives the sockets."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.messages: list[Recorded] = []
        self.unreadable: list[tuple[float, bytes]] = []
        self._on_change = on_change

    def add(self, direction: str, message: Request | Response) -> None:
        """Note one message, now."""
        self.messages.append(Recorded(time.time(), direction, message))
        self._on_change()

    def add_unreadable(self, data: bytes) -> None:
        """Note bytes that arrived and were no SIP message."""
        self.unreadable.append((time.time(), data))
        self._on_change()


class Handler(Protocol):
    """Who takes what the transactions do not settle by themselves: the user agent's core."""

    def on_request(
        self, request: Request, transaction: ServerTransaction, invite: ServerTransaction | None
    ) -> None:
        """A new request; ``invite`` is the transaction a CANCEL is about."""

    def on_ack(self, request: Request) -> None:
        """The ACK of a 2xx, which is a transaction of its own."""


class Endpoint:
    """Sends and receives SIP over one transport for as long as the phone is awake."""

    def __init__(self, server: Address, journal: Journal, handler: Handler, timers: Timers) -> None:
        self.timers = timers
        self._server, self._journal, self._handler = server, journal, handler
        self._transport: Transport | None = None
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[tuple[str, str], ServerTransaction] = {}

    def attach(self, transport: Transport) -> None:
        """Use this transport from now on."""
        self._transport = transport

    @property
    def transport(self) -> Transport:
        """The transport in use."""
        if self._transport is None:
            raise AsleepError("the endpoint has no transport yet: attach() one first")
        return self._transport

    def new_via(self) -> str:
        """A Via of the phone's own with a fresh branch."""
        return f"SIP/2.0/{self.transport.via} {self.transport.sent_by};branch=z9hG4bK{new_token()};rport"

    def request(
        self,
        request: Request,
        *,
        on_provisional: OnResponse | None = None,
        on_success: OnResponse | None = None,
    ) -> ClientTransaction:
        """Send ``request`` in a client transaction of its own."""
        destination = self._next_hop(request)
        key = key_of(request, request.method)
        transaction = ClientTransaction(
            request,
            lambda message: self._send(message, destination),
            reliable=self.transport.reliable,
            timers=self.timers,
            on_provisional=on_provisional,
            on_success=on_success,
            on_over=lambda: self._clients.pop(key, None),
        )
        self._clients[key] = transaction
        transaction.start()
        return transaction

    def send_ack(self, ack: Request) -> None:
        """Send the ACK of a 2xx; it belongs to no transaction."""
        self._send(ack, self._next_hop(ack))

    def send_raw(self, data: bytes) -> None:
        """Send bytes to the server as they are, whatever they are."""
        with contextlib.suppress(UnreadableError):
            self._journal.add("out", parse(data))
        self.transport.send(data, self._server)

    def abandon(self, why: str) -> None:
        """Forget every transaction; requests still unanswered get a 503 that says why."""
        for client in list(self._clients.values()):
            client.abandon(why)
        for server in list(self._servers.values()):
            server.abandon()

    async def close(self, why: str) -> None:
        """Forget every transaction, close every socket, send nothing."""
        self.abandon(why)
        if self._transport is not None:
            await self._transport.close()

    def receive(self, data: bytes, source: Address) -> None:
        """Take what the transport brought."""
        if not data.strip(b"\r\n\0"):
            return  # a keep-alive
        try:
            message = parse(data)
        except UnreadableError:
            self._journal.add_unreadable(data)
            return
        if isinstance(message, Response):
            # The transaction first, then the record: whoever waits for the message finds its effect.
            transaction = self._clients.get(key_of(message, method_of(message)))
            if transaction is not None:
                transaction.receive(message)
            self._journal.add("in", message)
        else:
            self._journal.add("in", message)
            self._receive_request(message, source)

    def _receive_request(self, request: Request, source: Address) -> None:
        branch = branch_of(request)
        invite = self._servers.get((branch, "INVITE"))
        if request.method == "ACK":
            if invite is not None and invite.final is not None and invite.final.code >= 300:
                invite.acknowledged()
            else:
                self._handler.on_ack(request)
            return
        known = self._servers.get((branch, request.method))
        if known is not None:
            known.repeated()
            return
        merged = request.method == "INVITE" and self._is_merged(request)
        transaction = self._accept(request, (branch, request.method), source)
        if merged:
            transaction.respond(build_response(request, 482, tag=new_token(4)))
            return
        self._handler.on_request(request, transaction, invite if request.method == "CANCEL" else None)

    def _accept(self, request: Request, key: tuple[str, str], source: Address) -> ServerTransaction:
        def respond(response: Response) -> None:
            if not self.transport.reliable:
                _fill_in_rport(response, source)
            self._send(response, source)

        transaction = ServerTransaction(
            request,
            respond,
            reliable=self.transport.reliable,
            timers=self.timers,
            on_over=lambda: self._servers.pop(key, None),
        )
        self._servers[key] = transaction
        return transaction

    def _is_merged(self, request: Request) -> bool:
        """Whether the same initial INVITE is being answered on another branch (RFC 3261 §8.2.2.2)."""
        if tag_of(request.headers["To"]):
            return False
        return any(_identity(known.request) == _identity(request) for known in self._servers.values())

    def _send(self, message: Request | Response, destination: Address) -> None:
        self._journal.add("out", message)
        self.transport.send(bytes(message), destination)

    def _next_hop(self, request: Request) -> Address:
        """Where a request goes: within a dialog along its route set, else the phone's server (its outbound proxy)."""
        if not tag_of(request.headers["To"]):
            return self._server
        routes = request.headers.getlist("Route")
        found = re.search(
            r"<sips?:(?:[^@>]*@)?([^:;>]+)(?::(\d+))?", routes[0] if routes else f"<{request.uri}>"
        )
        if found is None or not _is_ip_address(found.group(1)):
            return self._server
        return found.group(1), int(found.group(2) or 5060)


def _identity(request: Request) -> tuple[str, str, str]:
    return request.headers["Call-ID"], request.headers["CSeq"], tag_of(request.headers["From"])


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _fill_in_rport(response: Response, source: Address) -> None:
    """Tell the sender which address it was seen from (RFC 3581 §4)."""
    vias = response.headers.getlist("Via")
    seen = re.sub(r";\s*rport(?!\s*=)", f";rport={source[1]};received={source[0]}", vias[0], count=1)
    response.headers.setlist("Via", [seen, *vias[1:]])
