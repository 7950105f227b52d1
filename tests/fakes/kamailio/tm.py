"""Transactions as a script sees them: modules tm, tmx and tsilo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.kamailio.transactions import Transactions

if TYPE_CHECKING:
    from tests.fakes.kamailio.core import FakeKamailio

_CANCELLED, _ANSWERED, _GONE = -2, -3, -1


class Tm:
    """Module tm, for the message in hand."""

    def __init__(self, kamailio: FakeKamailio, transactions: Transactions) -> None:
        self._kamailio = kamailio
        self._transactions = transactions

    def t_newtran(self) -> int:
        context = self._kamailio.context
        known = self._transactions.find(context.message, context.message.method)
        if known is not None and known is not context.transaction:
            if known.last_reply:
                self._kamailio.send_back(known.last_reply, context.origin)
            return 0
        self._transactions.create(context)
        return 1

    def t_check_trans(self) -> int:
        context = self._kamailio.context
        message, method = context.message, context.message.method
        if message.first.startswith("SIP/2.0"):
            return 1 if self._transactions.branch_of(message) else -1
        if method == "CANCEL":
            return 1 if self._transactions.find(message, "INVITE") else -1
        if method == "ACK":
            found = self._transactions.find(message, "INVITE")
            return 0 if found and found.code >= 300 else -1
        known = self._transactions.find(message, method)
        if known is None or known is context.transaction:
            return -1
        if known.last_reply:
            self._kamailio.send_back(known.last_reply, context.origin)
        return 0

    def t_relay(self) -> int:
        context = self._kamailio.context
        method = context.message.method
        if method == "ACK":
            self._kamailio.forward(context.message, context.target, "z9hG4bKfakeack", context.edits)
            return 1
        if method == "CANCEL":
            invite = self._transactions.find(context.message, "INVITE")
            if invite is None:
                return -1
            self._transactions.relay_cancel(context, invite)
            return 1
        transaction = context.transaction or self._transactions.create(context)
        transaction.target = context.target
        targets = [context.target, *context.more_targets]
        context.more_targets = []
        transaction.relaying = True
        sent = [self._transactions.add_branch(transaction, target, context.edits) for target in targets]
        transaction.relaying = False
        self._kamailio.happened("t_relay")
        return 1 if any(sent) else -1

    def t_reply(self, code: int, reason: str) -> int:
        context = self._kamailio.context
        if context.transaction is None:
            return -1
        self._transactions.reply(context.transaction, code, reason, context.reply_headers)
        self._kamailio.happened("t_reply")
        return 1

    def t_on_branch(self, route: str) -> int:
        return self._arm("on_branch", route)

    def t_on_reply(self, route: str) -> int:
        return self._arm("on_reply", route)

    def t_on_failure(self, route: str) -> int:
        return self._arm("on_failure", route)

    def _arm(self, kind: str, route: str) -> int:
        context = self._kamailio.context
        setattr(context.transaction or self._transactions.create(context), kind, route)
        return 1

    def t_set_fr(self, inv: int, plain: int) -> int:
        transaction = self._kamailio.context.transaction
        if transaction is None:
            return -1
        transaction.fr_timer = plain / 1000
        return 1

    def t_is_canceled(self) -> int:
        transaction = self._kamailio.context.transaction
        return 1 if transaction and transaction.cancelled else -1

    def t_branch_timeout(self) -> int:
        branch = self._kamailio.context.branch
        return 1 if branch is None or branch.timed_out else -1

    def t_branch_replied(self) -> int:
        branch = self._kamailio.context.branch
        return 1 if branch is not None and branch.reply is not None else -1

    def t_uac_send(self, method: str, ruri: str, next_hop: str, socket: str, headers: str, body: str) -> int:
        return self._kamailio.send_own(method, ruri, next_hop, socket, headers, body)


class Tmx:
    """Module tmx."""

    def __init__(self, kamailio: FakeKamailio, transactions: Transactions) -> None:
        self._kamailio = kamailio
        self._transactions = transactions

    def t_precheck_trans(self) -> int:
        return -1

    def t_suspend(self) -> int:
        transaction = self._kamailio.context.transaction
        if transaction is None:
            return -1
        transaction.suspended_until = self._kamailio.now + transaction.fr_timer
        return 1

    def t_continue(self, index: int, label: int, route: str) -> int:
        transaction = self._transactions.all.get(f"{index}:{label}")
        if transaction is None or transaction.suspended_until is None:
            return -1
        transaction.suspended_until = None
        self._transactions.go_on(transaction, route)
        return 1


class Tsilo:
    """Module tsilo: branches that join a transaction late."""

    def __init__(self, kamailio: FakeKamailio, transactions: Transactions) -> None:
        self._kamailio = kamailio
        self._transactions = transactions

    def ts_append_to_uri(self, index: int, label: int, table: str, uri: str) -> int:
        transaction = self._transactions.all.get(f"{index}:{label}")
        if transaction is None:
            return _GONE
        self._kamailio.check_appendable(transaction)
        if transaction.cancelled:
            return _CANCELLED
        if transaction.code >= 200:
            return _ANSWERED
        self._kamailio.happened("ts_append")
        rung = {(b.target.ruid, b.target.uri) for b in transaction.branches}
        targets = [b.target for b in self._kamailio.registrar.bindings(uri)]
        new = [t for t in targets if (t.ruid, t.uri) not in rung]
        sent = [self._transactions.add_branch(transaction, t, transaction.edits) for t in new]
        return sum(sent) or _GONE
