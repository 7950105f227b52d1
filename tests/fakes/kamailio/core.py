"""The fake itself: takes messages in, runs the script's handlers over them, and keeps what leaves."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fakes.kamailio import modules
from tests.fakes.kamailio.context import Context, Edit, Origin, Target, edited
from tests.fakes.kamailio.errors import FakeError, ScriptError
from tests.fakes.kamailio.location import Registrar
from tests.fakes.kamailio.sip import Message, Uri, split_list
from tests.fakes.kamailio.tables import HashTables, MessageQueues
from tests.fakes.kamailio.tm import Tm, Tmx, Tsilo
from tests.fakes.kamailio.transactions import Transaction, Transactions
from tests.fakes.kamailio.variables import PseudoVariables

_CONFIGURATION = Path(__file__).parents[3] / "kamailio.cfg"
_TABLE = re.compile(r'modparam\("htable", "htable", "(\w+)=>')
_QUEUE = re.compile(r'modparam\("mqueue", "mqueue", "name=(\w+);size=(\d+)"\)')
_ENDED = re.compile(r'modparam\("registrar", "event_callback", "(\w+)"\)')
_PARK = "127.0.0.1:5099"


@dataclass(frozen=True)
class Sent:
    """A message that left: to where (``address:port`` or a SIP URI), over which socket if the script named one."""

    message: Message
    to: str
    socket: str = ""


class FakeKamailio:
    """What ``import KSR`` leads to; ``handler`` is the object the script's ``mod_init`` returned."""

    def __init__(self, address: str = "127.0.7.1:5060", park: str = _PARK) -> None:
        configuration = _CONFIGURATION.read_text(encoding="utf-8")
        self.address, self.park = address, park
        self.now = 0.0  # seconds; moved by advance()
        self.handler: object = None
        self.sent: list[Sent] = []
        self.errors: list[str] = []
        self.http_replies: list[tuple[int, str]] = []
        self.unreachable: set[str] = set()  # next hops that nothing can be sent to
        self.error = (500, "I'm terribly sorry, server error occurred")
        self._loopback: deque[tuple[Message, Origin]] = deque()
        self._contexts: list[Context] = []
        self._meanwhile: dict[str, list[Callable[[], object]]] = {}
        self.transactions = Transactions(self)
        self.pv = PseudoVariables(self)
        self.htable = HashTables(set(_TABLE.findall(configuration)))
        self.mqueue = MessageQueues({name: int(size) for name, size in _QUEUE.findall(configuration)})
        self.registrar = Registrar(self)
        self._ended = "".join(_ENDED.findall(configuration)[-1:])
        self.tm, self.tmx = Tm(self, self.transactions), Tmx(self, self.transactions)
        self.tsilo = Tsilo(self, self.transactions)
        self.hdr, self.textops, self.siputils = (
            modules.Hdr(self),
            modules.Textops(self),
            modules.Siputils(self),
        )
        self.kx, self.kex = modules.Kx(self), modules.Kex(self)
        self.maxfwd, self.sanity, self.sl = modules.Maxfwd(self), modules.Sanity(self), modules.Sl(self)
        self.auth, self.uac, self.nathelper = modules.Auth(self), modules.Uac(self), modules.Nathelper(self)
        self.rr, self.dialog, self.rtpengine = modules.Rr(self), modules.Dialog(self), modules.Rtpengine(self)
        self.corex, self.textopsx = modules.Corex(self), modules.Textopsx(self)
        self.websocket, self.xhttp = modules.Websocket(self), modules.Xhttp(self)

    # -- for tests

    def receive(self, raw: bytes | str, origin: Origin | None = None) -> list[Sent]:
        """A message arrives; returns what left because of it, what it sends to itself included."""
        before = len(self.sent)
        self._process(Message.parse(raw), origin or Origin())
        self.deliver()
        return self.sent[before:]

    def advance(self, seconds: float) -> list[Sent]:
        """Time passes."""
        before, until = len(self.sent), self.now + seconds
        while (at := self._next_deadline()) is not None and at <= until:
            self.now = max(self.now, at)
            self.transactions.expire()
            self.deliver()
        self.now = until
        self._end_bindings()
        return self.sent[before:]

    def _end_bindings(self) -> None:
        """The timer of usrloc: tell the script of each binding whose time is over."""
        for uri, binding in self.registrar.expire() if self._ended else []:
            self.registrar.expiring(uri, binding)
            self.run(self._ended, Context("timer", _NO_MESSAGE, Origin()), "usrloc:contact-expired")
            self.registrar.reg_free_contacts("exp")

    def run_timer(self, route: str) -> list[Sent]:
        """An rtimer fires."""
        before = len(self.sent)
        self.run(route, Context("timer", _NO_MESSAGE, Origin()), "rtimer")
        self.deliver()
        return self.sent[before:]

    @contextmanager
    def in_timer(self) -> Iterator[None]:
        """Inside, the script's own functions may be called as from a timer's handler."""
        self._contexts.append(Context("timer", _NO_MESSAGE, Origin()))
        try:
            yield
        finally:
            self._contexts.pop()

    def run_http(self, route: str, raw: str) -> None:
        """An HTTP request arrives."""
        self.run(route, Context("http", Message.parse(raw), Origin(protocol="ws")), "xhttp:request")

    def order(self, transaction: str, code: int, reason: str) -> list[Sent]:
        """JSON-RPC ``tm.reply`` from outside."""
        before = len(self.sent)
        self.transactions.reply(self.transactions.all[transaction], code, reason)
        self.deliver()
        return self.sent[before:]

    def meanwhile(self, moment: str, action: Callable[[], object]) -> None:
        """Another worker does something at that moment of this one.

        Moments: ``t_relay`` and ``t_reply`` (all has been sent), ``ts_append`` (the transaction was found to be
        still ringing, the branch is not yet made).
        """
        self._meanwhile.setdefault(moment, []).append(action)

    def deliver(self) -> None:
        """Let arrive what was sent to itself and has not arrived yet."""
        while self._loopback:
            self._process(*self._loopback.popleft())

    # -- for the modules

    @property
    def context(self) -> Context:
        """What the running handler looks at."""
        if not self._contexts:
            raise FakeError("no handler is running")
        return self._contexts[-1]

    def run(self, route: str, context: Context, *arguments: object) -> int:
        """Run one handler, and see that it leaves nothing behind that would hurt."""
        self._contexts.append(context)
        locked = set(self.htable.locked)
        try:
            result = getattr(self.handler, route)(object(), *arguments)
        finally:
            self._contexts.pop()
        if not isinstance(result, int):
            raise ScriptError(f"{route} returned {result!r}: the next message's handler would fail")
        if self.htable.locked != locked:
            raise ScriptError(
                f"{route} left {self.htable.locked - locked} locked: the next worker waits for ever"
            )
        return result

    def happened(self, moment: str) -> None:
        for action in self._meanwhile.pop(moment, []):
            action()

    def check_appendable(self, transaction: Transaction) -> None:
        """A transaction that its own worker is still relaying has no lock against new branches."""
        if transaction.relaying or not transaction.branches:
            raise ScriptError("ts_append on a transaction that is not relayed yet crashes Kamailio")

    def make_reply(self, request: Message, code: int, reason: str, headers: list[str]) -> Message:
        """A reply of our own."""
        kept = [
            h for h in request.headers if h[0].lower() in ("via", "v", "from", "f", "call-id", "i", "cseq")
        ]
        to = request.get("To")
        if ";tag=" not in to and code > 100:
            to += ";tag=fake"
        lines = (line.partition(":") for line in headers)
        extra = ((name, value.strip()) for name, _, value in lines)
        return Message(f"SIP/2.0 {code} {reason}", (*kept, ("To", to), *extra))

    def send_back(self, reply: Message, origin: Origin) -> None:
        """Send a reply to where its request came from."""
        to = f"{origin.address}:{origin.port}"
        if to == self.park:
            raise FakeError("a reply to the park socket")
        if origin == self._from_ourselves:
            self._loopback.append((reply, Origin("127.0.0.1", self._park_port, "udp", 5060)))
        elif origin == self._spiral:
            self._loopback.append((reply, self._spiral))
        else:
            self.sent.append(Sent(reply, to))

    def passed_back(self, reply: Message, edits: list[Edit]) -> Message:
        """A reply on its way through: our Via off, the script's changes on."""
        vias = [v for body in reply.all("Via") for v in split_list(body)][1:]
        rest = tuple(h for h in reply.headers if h[0].lower() not in ("via", "v"))
        return edited(Message(reply.first, (*(("Via", v) for v in vias), *rest), reply.body), edits)

    def forward(self, request: Message, target: Target, via: str, edits: list[Edit]) -> Message:
        """Send a request on."""
        changed = edited(request, edits)
        headers = (("Via", f"SIP/2.0/UDP {self.address};branch={via}"), *changed.headers)
        message = Message(f"{request.method} {target.uri} SIP/2.0", headers, request.body)
        self._out(message, target.next_hop or target.uri, target.socket)
        return message

    def send_cancel(self, invite: Message, target: Target, reason: str) -> None:
        """CANCEL a branch (RFC 3261, 9.1)."""
        names = ("from", "to", "call-id", "max-forwards", "route")
        kept = [("Via", invite.get("Via"))] + [h for h in invite.headers if h[0].lower() in names]
        kept.append(("CSeq", invite.get("CSeq").split(" ")[0] + " CANCEL"))
        if reason:
            kept.append(("Reason", reason))
        self._out(Message(f"CANCEL {invite.uri} SIP/2.0", tuple(kept)), target.next_hop or target.uri)

    def send_own(self, method: str, ruri: str, next_hop: str, socket: str, headers: str, body: str) -> int:
        """A request of our own; ``!!`` in its headers becomes the socket's address, as it does in tm."""
        if next_hop in self.unreachable:
            return -1
        protocol, _, address = socket.partition(":")
        via = f"Via: SIP/2.0/{protocol.upper()} {address};branch=z9hG4bKown{len(self.sent)}\r\n"
        text = f"{method} {ruri} SIP/2.0\r\n{via}{headers.replace('!!', address)}\r\n{body}"
        self.sent.append(Sent(Message.parse(text), next_hop, socket))
        return 1

    def send_as_it_is(self, next_hop: str, socket: str, text: str) -> int:
        """A message of our own, without a transaction."""
        if next_hop in self.unreachable:
            return -1
        sent = Sent(Message.parse(text), next_hop, socket)
        self.sent.append(sent)
        if next_hop == f"sip:{self.park}":
            here = Origin("127.0.0.1", self._park_port, "udp", self._park_port)
            self._loopback.append((sent.message, here))
        return 1

    # -- KSR's own functions

    def is_myself(self, uri: str) -> bool:
        parsed = Uri.parse(uri)
        return parsed is not None and f"{parsed.host}:{parsed.port}" == self.address

    def seturi(self, uri: str) -> int:
        self.context.target = replace(self.context.target, uri=uri)
        return 1

    def setdsturi(self, uri: str) -> int:
        self.context.target = replace(self.context.target, next_hop=uri)
        return 1

    def resetdsturi(self) -> int:
        self.context.target = replace(self.context.target, next_hop="")
        return 1

    def isdsturiset(self) -> bool:
        return bool(self.context.target.next_hop)

    def force_rport(self) -> int:
        return 1

    def set_drop(self) -> int:
        self.context.dropped = True
        return 1

    def err(self, text: str) -> int:
        self.errors.append(text)
        return 1

    def info(self, text: str) -> int:
        return 1

    # -- inside

    @property
    def _park_port(self) -> int:
        return int(self.park.rpartition(":")[2])

    @property
    def _from_ourselves(self) -> Origin:
        return Origin("127.0.0.1", 5060, "udp", self._park_port)

    @property
    def _spiral(self) -> Origin:
        """What it sends to its own SIP port comes from there."""
        host, _, port = self.address.partition(":")
        return Origin(host, int(port), "udp", int(port))

    def _out(self, message: Message, to: str, socket: str = "") -> None:
        uri = Uri.parse(to)
        if uri and f"{uri.host}:{uri.port}" == self.park:
            self._loopback.append((message, self._from_ourselves))
        elif uri and f"{uri.host}:{uri.port}" == self.address:
            self._loopback.append((message, self._spiral))
        else:
            self.sent.append(Sent(message, to, socket))

    def _process(self, message: Message, origin: Origin) -> None:
        context = Context("request", message, origin)
        if message.is_request:
            context.target = Target(message.uri)
            self.run("ksr_request_route", context)
            return
        context.mode = "reply"
        self.run("ksr_reply_route", context)
        if context.dropped:  # what the handler returns does not matter (measured with 5.6)
            return
        found = self.transactions.branch_of(message)
        if found is None:
            return
        transaction, branch = found
        context.transaction, context.branch, context.avps = transaction, branch, transaction.avps
        if branch.on_reply:
            self.run(branch.on_reply, context)
        self.transactions.received(context, transaction, branch)

    def _next_deadline(self) -> float | None:
        deadlines = [b.deadline for t in self.transactions.all.values() for b in t.branches if b.pending]
        deadlines += [
            t.suspended_until for t in self.transactions.all.values() if t.suspended_until is not None
        ]
        return min(deadlines, default=None)


_NO_MESSAGE = Message.parse("OPTIONS sip:you@kamailio.org SIP/2.0\r\n\r\n")
