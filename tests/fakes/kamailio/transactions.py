"""What tm remembers: forks, replies, CANCEL, suspension, timers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.kamailio.context import Context, Edit, Origin, Target
from tests.fakes.kamailio.sip import Message

if TYPE_CHECKING:
    from tests.fakes.kamailio.core import FakeKamailio

FR_TIMER, FR_INV_TIMER = 3.0, 180.0  # seconds; as in kamailio.cfg


@dataclass
class Branch:
    """One destination of a transaction. ``code`` is its last reply; with ``timed_out`` none came in time, and it is tm's own.

    ``cancelled`` is the Reason to cancel it with, None while nobody has; ``cancel_sent`` whether the CANCEL has left.
    """

    index: int
    target: Target
    via: str
    on_reply: str = ""
    sent: Message | None = None
    code: int = 0
    reply: Message | None = None
    deadline: float = 0.0
    timed_out: bool = False
    cancelled: str | None = None
    cancel_sent: bool = False

    @property
    def pending(self) -> bool:
        return self.sent is not None and self.code < 200


@dataclass
class Transaction:
    """A request and what became of it. ``code`` is the last status sent to where it came from."""

    index: int
    label: int
    request: Message
    origin: Origin
    target: Target
    avps: dict[str, str]
    edits: list[Edit] = field(default_factory=list)
    reply_headers: list[str] = field(default_factory=list)
    on_branch: str = ""
    on_reply: str = ""
    on_failure: str = ""
    code: int = 0
    last_reply: Message | None = None
    branches: list[Branch] = field(default_factory=list)
    cancelled: bool = False
    relaying: bool = False
    suspended_until: float | None = None
    fr_timer: float = FR_TIMER

    @property
    def id(self) -> str:
        return f"{self.index}:{self.label}"


class Transactions:
    """Everything tm remembers, and what happens to it without the script's doing."""

    def __init__(self, kamailio: FakeKamailio) -> None:
        self._kamailio = kamailio
        self._numbers = itertools.count(1)
        self.all: dict[str, Transaction] = {}
        self._by_via: dict[str, tuple[Transaction, Branch]] = {}

    def create(self, context: Context) -> Transaction:
        """The transaction of this request; an INVITE is answered 100."""
        number = next(self._numbers)
        transaction = Transaction(
            number, 7000 + number, context.message, context.origin, context.target, context.avps
        )
        transaction.edits, transaction.reply_headers = context.edits, context.reply_headers
        context.transaction = self.all[transaction.id] = transaction
        if context.message.method == "INVITE":
            self.reply(transaction, 100, "Trying")
        return transaction

    def find(self, request: Message, method: str) -> Transaction | None:
        """The transaction with that method that the request's topmost Via names."""
        for transaction in self.all.values():
            original = transaction.request
            if original.method == method and original.via_branch == request.via_branch:
                return transaction
        return None

    def branch_of(self, reply: Message) -> tuple[Transaction, Branch] | None:
        """The branch a reply belongs to."""
        found = self._by_via.get(reply.via_branch)
        return found if found and reply.method == found[0].request.method else None

    def reply(
        self, transaction: Transaction, code: int, reason: str, headers: list[str] | None = None
    ) -> None:
        """Answer the request of a transaction; a final status is sent once."""
        if transaction.code >= 200:
            return
        message = self._kamailio.make_reply(transaction.request, code, reason, headers or [])
        self._send_reply(transaction, message)

    def _send_reply(self, transaction: Transaction, message: Message) -> None:
        transaction.code, transaction.last_reply = message.code, message
        if message.code >= 200:
            transaction.suspended_until = None
        self._kamailio.send_back(message, transaction.origin)

    def add_branch(self, transaction: Transaction, target: Target, edits: list[Edit]) -> bool:
        """Run the branch route and send; False when the route dropped it."""
        index = len(transaction.branches)
        via = f"z9hG4bKfake{transaction.index}.{transaction.label}.{index}"
        branch = Branch(index, target, via)
        transaction.branches.append(branch)
        self._by_via[via] = (transaction, branch)
        context = Context("branch", transaction.request, transaction.origin, target, avps=transaction.avps)
        context.edits, context.transaction, context.branch = list(edits), transaction, branch
        if transaction.on_branch:
            self._kamailio.run(transaction.on_branch, context)
        if context.dropped:
            return False
        branch.on_reply = transaction.on_reply  # as the branch route left it
        branch.deadline = self._kamailio.now + transaction.fr_timer
        branch.sent = self._kamailio.forward(transaction.request, target, via, context.edits)
        return True

    def relay_cancel(self, context: Context, invite: Transaction) -> None:
        """A CANCEL is answered here, and goes on hop by hop."""
        self._kamailio.send_back(
            self._kamailio.make_reply(context.message, 200, "canceling", []), context.origin
        )
        invite.cancelled = True
        if invite.suspended_until is not None or not invite.branches:
            self.reply(invite, 487, "Request Terminated")
            return
        self.cancel_branches(invite, context.message.get("Reason"))

    def cancel_branches(self, transaction: Transaction, reason: str) -> None:
        """CANCEL what still rings.

        A branch that has said nothing gets its CANCEL once it says something, if it does before tm ends it by 487
        (cancel_b_method 1, the default): until then it could not know what is cancelled (RFC 3261, 9.1).
        """
        for branch in transaction.branches:
            if branch.pending and branch.cancelled is None:
                branch.cancelled = reason
                self._send_cancel(branch)

    def _send_cancel(self, branch: Branch) -> None:
        if branch.cancelled is None or branch.cancel_sent or not branch.code or branch.sent is None:
            return
        branch.cancel_sent = True
        self._kamailio.send_cancel(branch.sent, branch.target, branch.cancelled)

    def received(self, context: Context, transaction: Transaction, branch: Branch) -> None:
        """A reply has come, and the reply routes have run over ``context``."""
        reply = context.message
        if branch.code >= 200 and not 200 <= reply.code < 300:
            return
        branch.code, branch.reply = reply.code, self._kamailio.passed_back(reply, context.edits)
        if branch.cancelled is None:
            branch.deadline = self._kamailio.now + FR_INV_TIMER
        if reply.code < 200:
            self._send_cancel(branch)
            if reply.code > 100 and transaction.code < 200 and not transaction.cancelled:
                self._send_reply(transaction, branch.reply)
        elif reply.code < 300:
            if transaction.request.method == "INVITE":
                self._send_reply(transaction, branch.reply)
                self.cancel_branches(transaction, "SIP;cause=200")
            elif transaction.code < 200:
                self._send_reply(transaction, branch.reply)
        else:
            self.settle(transaction)

    def settle(self, transaction: Transaction) -> None:
        """When no branch is left: the failure route, then the best reply."""
        if transaction.relaying or transaction.code >= 200 or any(b.pending for b in transaction.branches):
            return
        finals = [b for b in transaction.branches if b.code >= 200]
        if not finals:
            return
        best = min(finals, key=_preference)
        route, transaction.on_failure = transaction.on_failure, ""
        if route:
            self._run_failure(transaction, route, best, best.code)
        if transaction.code >= 200 or any(b.pending for b in transaction.branches):
            return
        if best.reply and not best.timed_out:
            self._send_reply(transaction, best.reply)
        else:
            reason = "Request Timeout" if best.code == 408 else "Request Terminated"
            self.reply(transaction, best.code, reason)

    def _run_failure(self, transaction: Transaction, route: str, best: Branch | None, code: int) -> None:
        context = Context(
            "failure", transaction.request, transaction.origin, transaction.target, avps=transaction.avps
        )
        context.edits, context.reply_headers = transaction.edits, transaction.reply_headers
        context.transaction, context.branch, context.code = transaction, best, code
        self._kamailio.run(route, context)

    def go_on(self, transaction: Transaction, route: str) -> None:
        """Run a route over the request of a transaction that was suspended; nothing done with it is a failure."""
        target = Target(transaction.request.uri)
        context = Context("request", transaction.request, transaction.origin, target, avps=transaction.avps)
        context.edits, context.reply_headers = transaction.edits, transaction.reply_headers
        context.transaction = transaction
        self._kamailio.run(route, context)
        if transaction.code < 200 and not any(b.pending for b in transaction.branches):
            self.reply(transaction, 500, "Server Internal Error")

    def expire(self) -> None:
        """Everything whose time is over by the fake's clock."""
        for transaction in list(self.all.values()):
            if transaction.suspended_until is not None and transaction.suspended_until <= self._kamailio.now:
                transaction.suspended_until = None
                route, transaction.on_failure = transaction.on_failure, ""
                if route:
                    self._run_failure(transaction, route, None, 408)
                if not any(b.pending for b in transaction.branches):  # the route has sent it on
                    self.reply(transaction, 408, "Request Timeout")
            late = [b for b in transaction.branches if b.pending and b.deadline <= self._kamailio.now]
            for branch in late:
                branch.code = 408 if branch.cancelled is None else 487
                branch.timed_out = True
            if late:
                self.settle(transaction)


def _preference(branch: Branch) -> tuple[int, int, int]:
    """6xx before everything, then the lowest class, then the lowest code; our own timeouts last (faked_reply_prio)."""
    return (branch.timed_out, 0 if branch.code >= 600 else branch.code // 100, branch.code)
