"""Staying registered at the PBXs: one timer process owns every registration; the SIP workers only pass replies on to it."""

from __future__ import annotations

import hashlib
import heapq
import random
import time
from collections import deque

from kemi import ksr, registrar_state, wire
from kemi.node import Node
from kemi.registrar_state import Account, Reply, Send

QUEUE = "registrar"
TABLE_CHANGES = "changes"  # connection id -> anything: the edge agent has changed this connection
_PREFIX = "nb-"
_FIELD = "\x1f"
_DEADLINE = 5.0  # after tm's own (fr_timer), so that a late reply is not taken for silence
_PER_TICK = 100  # at most 5,000 REGISTERs a second leave, whatever is due


def take_reply(node: Node) -> None:
    """In a SIP worker: hand the reply to a REGISTER of ours to the process that owns it."""
    call_id = ksr.pv("$ci")
    if not call_id.startswith(_PREFIX):
        return
    code = ksr.pv_int("$rs")
    if code < 200:
        return
    fields = [str(code), str(ksr.pv("$cs")), ksr.pv("$rr")]
    if code < 300:
        fields += [ksr.headers("Contact"), "", ksr.header("Expires"), ksr.header("Authentication-Info")]
    elif code in (401, 407):
        fields += ["", ksr.headers("WWW-Authenticate" if code == 401 else "Proxy-Authenticate"), "", ""]
    else:
        fields += ["", "", ksr.header("Min-Expires" if code == 423 else "Retry-After"), ""]
    ksr.queue_add(QUEUE, call_id, _FIELD.join(fields))


class Registrar:
    """All registrations of this edge."""

    def __init__(self, node: Node, now: float) -> None:
        self._node = node
        self._accounts: dict[str, Account] = {}
        self._due: list[tuple[float, str]] = []
        self._waiting: deque[tuple[float, str, int]] = deque()
        kept = dict(ksr.table_items(wire.TABLE_UPSTREAM))
        for connection, text in ksr.table_items(wire.TABLE_CONNECTION):
            self._change(connection, text, now, kept.get(connection, ""))

    def tick(self, now: float) -> None:
        """Everything that has happened and everything that is due, once each 20 ms."""
        for connection, _ in ksr.table_items(TABLE_CHANGES):
            ksr.table_remove(TABLE_CHANGES, connection)
            self._change(connection, ksr.table_get(wire.TABLE_CONNECTION, connection), now, "")
        while (item := ksr.queue_next(QUEUE)) is not None:
            self._reply(item[0], item[1], now)
        while self._waiting and self._waiting[0][0] <= now:
            _, connection, cseq = self._waiting.popleft()
            account = self._accounts.get(connection)
            if account and account.in_flight and account.cseq == cseq:
                account.in_flight = False
                registrar_state.silent(account, now, random.random())  # noqa: S311
                self._settle(account, Reply(0, "no answer", cseq), now)
        for _ in range(_PER_TICK):
            if not self._due or self._due[0][0] > now:
                break
            due, connection = heapq.heappop(self._due)
            account = self._accounts.get(connection)
            if account and account.due == due and not account.in_flight:
                account.rounds = 0
                self._send(account, now)

    def _change(self, connection: str, text: str, now: float, kept: str) -> None:
        account = self._accounts.get(connection)
        document = _document(text)
        if document is None or not document.register or not document.next_hop:
            if account and not account.removing:
                # Sign off while we still have the credential; the account is forgotten when that is answered.
                account.removing = True
                account.state = "unregistering"
                account.due = now
                self._schedule(account)
            return
        if account is None or account.removing:
            account = self._accounts[connection] = Account(connection, document, now)
            if kept:
                try:
                    account.restore(wire.UpstreamDoc.decode(kept), now)
                except wire.WireError as error:
                    ksr.log_error(f"registration of {connection}: {error}")
        else:
            registrar_state.changed(account, document, now)
        self._schedule(account)

    def _reply(self, call_id: str, text: str, now: float) -> None:
        code, cseq, reason, contacts, challenge, extra, info = text.split(_FIELD)
        account = self._accounts.get(call_id.removeprefix(_PREFIX).rpartition("-")[0])
        if account is None or not account.in_flight or str(account.cseq) != cseq:
            return
        reply = Reply(int(code), reason, int(cseq), contacts, challenge, extra, info)
        account.in_flight = False
        action = registrar_state.answered(account, reply, now, random.random())  # noqa: S311
        if isinstance(action, Send):
            self._send(account, now)
        else:
            self._settle(account, reply, now)

    def _settle(self, account: Account, reply: Reply, now: float) -> None:
        granted = int(account.expires_at - now) if account.state == "registered" else 0
        challenge = account.challenge
        self._node.events.send(
            wire.UpstreamEvent(
                ts=now,
                connection=account.id,
                state=account.state,
                code=reply.code,
                reason=reply.reason,
                expires=granted,
                rtt_ms=round((now - account.sent_at) * 1000, 2),
                realm=challenge.realm if challenge else "",
                algorithm=challenge.algorithm if challenge else "",
                durable=account.keep().encode(),
            )
        )
        if account.state == "unregistered":
            del self._accounts[account.id]
        else:
            self._schedule(account)

    def _schedule(self, account: Account) -> None:
        if account.due != float("inf"):
            heapq.heappush(self._due, (account.due, account.id))

    def _send(self, account: Account, now: float) -> None:
        settings, document = self._node.settings, account.document
        account.cseq += 1
        uri = f"sip:{document.domain}"
        transport = _transport(document.next_hop)
        port = settings.tls_port if transport == "tls" else settings.sip_port
        tag = _identity(self._node, account.id)
        suffix = "" if transport == "udp" else f";transport={transport}"
        lines = [
            f"From: <sip:{document.user}@{document.domain}>;tag={tag[12:]}",
            f"To: <sip:{document.user}@{document.domain}>",
            f"Call-ID: {_PREFIX}{account.id}-{tag[:12]}",
            f"CSeq: {account.cseq} REGISTER",
            f"Contact: <sip:{account.id}@{settings.address}:{port}{suffix}>",
            f"Expires: {0 if account.removing else account.expires}",
        ]
        credential = registrar_state.credential(account, uri, f"{random.getrandbits(64):016x}")
        if credential:
            lines.append(credential)
        account.in_flight = True
        account.sent_at = now
        self._waiting.append((now + _DEADLINE, account.id, account.cseq))
        socket = f"{transport}:{settings.address}:{port}"
        if not ksr.tm_send(
            "REGISTER", uri, document.next_hop, socket, "".join(f"{line}\r\n" for line in lines)
        ):
            account.in_flight = False
            registrar_state.silent(account, now, random.random())  # noqa: S311
            self._settle(account, Reply(0, "could not be sent", account.cseq), now)


def _document(text: str) -> wire.ConnectionDoc | None:
    if not text:
        return None
    try:
        return wire.ConnectionDoc.decode(text)
    except wire.WireError as error:
        ksr.log_error(f"a connection cannot be read: {error}")
        return None


def _identity(node: Node, connection: str) -> str:
    """Call-ID and From-tag follow from the connection: nothing is lost that a PBX could notice, whatever is killed."""
    return hashlib.blake2b(connection.encode(), key=node.key, digest_size=10).hexdigest()


def _transport(next_hop: str) -> str:
    return next_hop.partition(";transport=")[2].partition(";")[0].lower() or "udp"


_registrar: Registrar | None = None


def tick(node: Node) -> int:
    """Timer: one step of the registrar, in the process that owns it."""
    global _registrar  # noqa: PLW0603 - the one registrar of the one process that runs this timer
    now = time.time()
    if _registrar is None:
        _registrar = Registrar(node, now)
    _registrar.tick(now)
    return 1
