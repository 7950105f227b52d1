"""A scripted phone: registers, sleeps, wakes, calls and is called, and remembers every message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

from sipmessage import Request

from demo.phone.account import Account
from demo.phone.call import Call
from demo.phone.changes import Changes
from demo.phone.core import Core
from demo.phone.endpoint import Endpoint, Journal
from demo.phone.errors import AsleepError, TransportError
from demo.phone.exchange import ALLOW, Draft, Sequence
from demo.phone.incoming import Answer, IncomingCall
from demo.phone.message import Recorded, Reply, build_response, new_token, tag_of
from demo.phone.outgoing import OutgoingCall
from demo.phone.registration import PushParams, Registration
from demo.phone.rtp import Audio
from demo.phone.server_transaction import ServerTransaction
from demo.phone.timers import Timers
from demo.phone.transport.opening import open_transport
from demo.phone.transport.port import Address

_WELCOME = ("OPTIONS", "NOTIFY", "MESSAGE", "INFO")  # outside a call: answered 200, nothing more


class Phone:
    """One SIP user agent. It starts asleep: no socket is open before ``start()`` or ``wake()``.

    It refreshes nothing by itself: what it sends is what the script says. Times in ``messages`` are UNIX seconds.
    ``media`` is how this kind of phone wants its RTP, as of ``nightbell device set --media``.
    """

    media = "plain"

    def __init__(
        self,
        user: str,
        password: str,
        domain: str,
        server: Address,
        transport: str = "udp",
        local: str = "127.0.0.1",
        display_name: str = "",
        push: PushParams | None = None,
        auth_user: str | None = None,
        ca_file: str | Path | None = None,
        timers: Timers | None = None,
    ) -> None:
        self.account = Account(user, password, domain, display_name, auth_user or "")
        self.server, self.transport, self.local = server, transport, local
        self.on_invite = Answer()
        self.offers_late = False  # then its calls leave the offer to who answers (RFC 3261 §13.2.1)
        self.remembers_calls = False  # while it is suspended: then its calls ask to wake it (RFC 8599 §6.1.1)
        self.invites: list[Request] = []
        self.calls: list[Call] = []
        self.lost = ""  # why the connection to the server was lost, if it was
        self._ca_file, self._timers = ca_file, timers or Timers()
        self._changes = Changes()
        self._journal = Journal(self._changes.notify)
        self._registration = Registration(self.account, push)
        self._incoming: deque[IncomingCall] = deque()
        self._texts: dict[str, str] = {}  # by Call-ID
        self._core: Core | None = None
        self._suspended: Core | None = None
        self._power = asyncio.Lock()  # two pushes at once must not open two ways to the server

    # ------------------------------------------------------------------------------ awake and asleep

    @property
    def awake(self) -> bool:
        """Whether the phone has a way to its server."""
        return self._core is not None and not self.lost

    async def start(self) -> None:
        """Open the way to the server, anew if there was one. Raises TransportError."""
        async with self._power:
            kept, self._suspended = self._suspended, None
            if kept is None:
                await self._close()
            endpoint = Endpoint(self.server, self._journal, self, self._timers)
            transport = await open_transport(
                self.transport,
                server=self.server,
                local=self.local,
                domain=self.account.domain,
                ca_file=self._ca_file,
                on_data=endpoint.receive,
                on_lost=self._on_lost,
            )
            endpoint.attach(transport)
            self.lost = ""
            if kept is None:
                kept = Core(self.account, endpoint, self._changes, self.local)
            kept.endpoint = endpoint
            self._core = kept

    async def sleep(self) -> None:
        """Close every socket and forget every call, without sending anything, as an app does that the system kills."""
        async with self._power:
            await self._close()

    async def suspend(self) -> None:
        """Close every socket without sending anything, but keep the calls, as an app whose time in the background is over."""
        async with self._power:
            core = self._awake()
            self._core, self._suspended = None, core
            await core.endpoint.close("The phone was suspended")
            self._changes.notify()

    async def wake(self) -> Reply:
        """Start and register; returns the registrar's reply."""
        await self.start()
        return await self.register()

    # ---------------------------------------------------------------------------------- registering

    @property
    def push(self) -> PushParams | None:
        """The push parameters in the Contact of the next REGISTER."""
        return self._registration.push

    @push.setter
    def push(self, push: PushParams | None) -> None:
        self._registration.push = push

    @property
    def instance(self) -> str:
        """The ``+sip.instance`` of this phone."""
        return f"urn:uuid:{self._registration.instance}"

    async def register(self, expires: int = 600) -> Reply:
        """Register for ``expires`` seconds; returns the final reply, a 401 included when the password is wrong."""
        core = self._awake()
        answer = await self._registration.send(core.endpoint, core.contact_uri, expires)
        core.purr = self._registration.purr if self.remembers_calls else ""
        return Reply.of(answer)

    async def unregister(self) -> Reply:
        """Remove this phone's binding."""
        return await self.register(expires=0)

    # -------------------------------------------------------------------------------------- calling

    async def call(self, target: str, headers: tuple[tuple[str, str], ...] = ()) -> OutgoingCall:
        """Send an INVITE to an extension of the phone's domain, or to a SIP URI; returns at once."""
        core = self._awake()
        uri = target if target.startswith(("sip:", "sips:")) else f"sip:{target}@{self.account.domain}"
        call = await self._outgoing_call(core, uri, headers)
        self.calls.append(call)
        core.spawn(call.run())
        return call

    async def incoming(self, timeout: float = 10.0) -> IncomingCall:
        """The next call that came in and was not returned yet; raises StillWaitingError."""
        await self._changes.until(lambda: bool(self._incoming), timeout, f"a call for {self.account.user}")
        return self._incoming.popleft()

    async def send_message(self, target: str, text: str) -> Reply:
        """Send a MESSAGE (RFC 3428) to an extension of the phone's domain; returns the final reply."""
        core = self._awake()
        uri = f"sip:{target}@{self.account.domain}"
        draft = Draft(
            method="MESSAGE",
            uri=uri,
            sender=f"{self.account.address};tag={new_token(4)}",
            recipient=f"<{uri}>",
            call_id=new_token(12),
            sequence=Sequence(),
            body=text.encode(),
            content_type="text/plain",
        )
        return Reply.of(await core.exchange(draft))

    @property
    def texts(self) -> list[str]:
        """The texts of the MESSAGEs that came in, oldest first, retransmissions left out."""
        return list(self._texts.values())

    # ---------------------------------------------------------------------------------- for assertions

    @property
    def messages(self) -> list[Recorded]:
        """Every message sent or received, oldest first: (time, direction ``in``/``out``, message)."""
        return self._journal.messages

    @property
    def unreadable(self) -> list[tuple[float, bytes]]:
        """What arrived and was no SIP message, with its time."""
        return self._journal.unreadable

    async def wait_for(self, predicate: Callable[[Recorded], bool], timeout: float = 10.0) -> Recorded:
        """The first message, already recorded or still to come, that ``predicate`` accepts; raises StillWaitingError."""
        found: list[Recorded] = []
        looked_at = 0

        def look() -> bool:
            nonlocal looked_at
            fresh = self.messages[looked_at:]
            looked_at += len(fresh)
            found.extend(recorded for recorded in fresh if predicate(recorded))
            return bool(found)

        await self._changes.until(look, timeout, f"{self.account.user}: the message waited for")
        return found[0]

    async def until(
        self, condition: Callable[[], bool], timeout: float = 10.0, what: str = "condition"
    ) -> None:
        """Wait until ``condition()`` holds, looked at whenever this phone changes; raises StillWaitingError."""
        await self._changes.until(condition, timeout, f"{self.account.user}: {what}")

    async def send_raw(self, data: bytes) -> None:
        """Send bytes to the server, whatever they are."""
        self._awake().endpoint.send_raw(data)

    # ------------------------------------------------------------------------------ what comes in

    def on_request(
        self, request: Request, transaction: ServerTransaction, invite: ServerTransaction | None
    ) -> None:
        """Take a new request from the endpoint."""
        if request.method == "CANCEL":
            self._on_cancel(request, transaction, invite)
        elif tag_of(request.headers["To"]):
            owner = next((call for call in self.calls if call.owns(request)), None)
            if owner is None:
                transaction.respond(build_response(request, 481))
            else:
                owner.on_request(request, transaction)
        elif request.method == "INVITE":
            self._on_invite(request, transaction)
        elif request.method in _WELCOME:
            if request.method == "MESSAGE":
                self._texts[request.headers["Call-ID"]] = request.body.decode()
                self._changes.notify()
            transaction.respond(build_response(request, 200, tag=new_token(4), headers=(("Allow", ALLOW),)))
        else:
            status = 481 if request.method == "BYE" else 405
            transaction.respond(
                build_response(request, status, tag=new_token(4), headers=(("Allow", ALLOW),))
            )

    def on_ack(self, request: Request) -> None:
        """Take the ACK of a 2xx from the endpoint."""
        for call in self.calls:
            if call.owns(request):
                call.on_ack(request)

    def _on_invite(self, request: Request, transaction: ServerTransaction) -> None:
        call = self._incoming_call(self._awake(), request, transaction)
        self.invites.append(request)
        self.calls.append(call)
        self._incoming.append(call)
        self._changes.notify()
        call.follow(self.on_invite)

    async def _outgoing_call(
        self, core: Core, uri: str, headers: tuple[tuple[str, str], ...]
    ) -> OutgoingCall:
        return OutgoingCall(core, Audio(self.local), uri, headers, self.offers_late)

    def _incoming_call(self, core: Core, request: Request, transaction: ServerTransaction) -> IncomingCall:
        return IncomingCall(core, Audio(self.local), request, transaction)

    def _on_cancel(
        self, cancel: Request, transaction: ServerTransaction, invite: ServerTransaction | None
    ) -> None:
        for call in self.calls:
            if isinstance(call, IncomingCall) and invite is not None and call.request is invite.request:
                call.answer_cancel(cancel, transaction)
                call.on_cancel(cancel)
                return
        transaction.respond(build_response(cancel, 481, tag=new_token(4)))

    async def _close(self) -> None:
        core, self._core = self._core or self._suspended, None
        self._suspended = None
        if core is None:
            return
        for call in self.calls:
            call.drop()
        await core.close()
        await core.endpoint.close("The phone went to sleep")
        self._changes.notify()

    def _on_lost(self, why: str) -> None:
        self.lost = why
        if self._core is not None:
            self._core.endpoint.abandon(why)
        self._changes.notify()

    def _awake(self) -> Core:
        if self._core is None:
            raise AsleepError(f"{self.account.user} is asleep: wake() or start() it first")
        if self.lost:
            raise TransportError(f"{self.account.user}: {self.lost}; wake() or start() it again")
        return self._core

    def __repr__(self) -> str:
        state = "awake" if self.awake else "asleep"
        return f"<Phone {self.account.user} {self.transport} to {self.server[0]}:{self.server[1]} {state}>"
