"""Staying registered at the PBXs: one timer process owns every registration; the SIP workers only pass replies on to it."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable

from kemi import documents, ksr, projection, registrar_state, wire
from kemi.documents import lines
from kemi.node import Node
from kemi.registrar_agenda import NEVER
from kemi.registrar_message import PREFIX, Writer
from kemi.registrar_pacing import Pace, Pbx
from kemi.registrar_reply import Reply
from kemi.registrar_state import SEND, Account
from kemi.registrar_transaction import Register, UnderWay

QUEUE = "registrar"
_clock = time.time
_REFUSED_LATELY_S = 900.0
_SILENCE = ("no-answer", "not-sent", "suspected-ban")
_TOLD_AT_ONCE = 1000  # who wait because others were refused
_REFRESHES = 200  # in one datagram
_FLUSH_S = 0.2
_AGAIN_S = 0.01  # a PBX with more due than its pace allows is looked at again at the next tick
_SPEAKS_FOR_PBX_S = 10.0  # a 503 is taken for the whole PBX's when nobody was accepted for so long


def take_reply(node: Node) -> None:
    """In a SIP worker: hand the reply to a REGISTER of ours to the process that owns it."""
    call_id = ksr.call_id()
    if not call_id.startswith(PREFIX):
        return
    ksr.drop()  # it belongs to no transaction of Kamailio's
    code = ksr.status()
    reason = contacts = challenge = extra = info = route = ""
    if code < 300:
        # Refreshes are most of what comes: nothing is asked for that is not there.
        contacts = ksr.headers("Contact")
        if "expires=" not in contacts:
            extra = ksr.header("Expires")
        if ksr.has_header("Authentication-Info"):
            info = ksr.header("Authentication-Info")
        if ksr.has_header("Service-Route"):
            route = ksr.headers("Service-Route")
    else:
        reason = ksr.pv("$rr")
        if code in (401, 407):
            challenge = ksr.headers("WWW-Authenticate" if code == 401 else "Proxy-Authenticate")
        else:
            extra = ksr.header("Min-Expires" if code == 423 else "Retry-After")
    reply = Reply(code, reason or "OK", int(ksr.cseq()), contacts, challenge, extra, info, route, _clock())
    ksr.queue_add(QUEUE, call_id, reply.encode())


class Registrar:
    """All registrations of this edge. ``kept`` gives the UpstreamDoc (as JSON, or ``""``) of a connection from before."""

    def __init__(self, node: Node, now: float, kept: Callable[[str], str]) -> None:
        self._node = node
        self._now = now
        self._overall = Pace(node.settings.registers_per_second, now)
        self._overall.rate = self._overall.fastest
        self._accounts: dict[str, Account] = {}
        settings = node.settings
        self._writer = Writer(node.key, settings.address, settings.sip_port, settings.tls_port)
        self._pbxs: dict[str, Pbx] = {}
        self._accepted_at: dict[str, float] = {}  # next hop -> when it last accepted anybody
        self._refused_at: dict[str, float] = {}  # next hop -> when it last refused anybody for good
        self._agenda: list[tuple[float, str]] = []  # (time, next hop): when to look at a PBX again
        self._refreshed: list[list[object]] = []
        self._flushed_at = now
        self._under_way = UnderWay()
        self._heard: set[str] = set()  # whose REGISTER has arrived: a provisional reply came
        for connection in ksr.table_keys(wire.TABLE_CONNECTION):
            self._change(connection, ksr.table_get(wire.TABLE_CONNECTION, connection), now, kept(connection))

    def tick(self, now: float) -> None:
        """Everything that has happened and everything that is due, once each 20 ms."""
        self._now = now
        for connection, _ in ksr.table_items(wire.TABLE_CHANGES):
            ksr.table_remove(wire.TABLE_CHANGES, connection)
            if connection.startswith(wire.RETRY):
                self._retry(connection.removeprefix(wire.RETRY), now)
                continue
            self._change(connection, ksr.table_get(wire.TABLE_CONNECTION, connection), now, "")
        while (item := ksr.queue_next(QUEUE)) is not None:
            self._reply(item[0], item[1], now)
        again, lost = self._under_way.due(now, self._unanswered)
        for register in again:
            if register.account not in self._heard:
                ksr.send(register.hop, register.socket, register.text)
        for register in lost:
            self._silence(self._accounts[register.account], "no-answer", now)
        self._overall.refill(now)
        self._send_all_due(now)
        if now - self._flushed_at >= _FLUSH_S:
            self._flush(now)

    # ------------------------------------------------------------------------------------- connections

    def _change(self, connection: str, text: str, now: float, kept: str) -> None:
        account = self._accounts.get(connection)
        document = self._document(connection, text)
        if document is None or not document.register or not document.next_hop:
            if account is None or account.forget:
                return
            if account.in_flight or registrar_state.is_valid(account, now):
                account.leave(now, forget=True)
                self._schedule(account)
            else:
                del self._accounts[connection]
            return
        if account is None or account.forget:
            before, account = account, Account(connection, document, now)
            self._accounts[connection] = account
            self._restore(account, kept, now)
            if before is not None:
                account.cseq = max(account.cseq, before.cseq)
                if before.in_flight:
                    self._heard.discard(connection)
                    self._pbxs[before.hop].in_flight -= 1
                    self._tried(before, self._pbxs[before.hop], accepted=False, now=now)
        else:
            account.change(document, now)
        if document.strategy == "while-awake":
            self._follow_devices(account, document, now)
        self._schedule(account)

    def _restore(self, account: Account, kept: str, now: float) -> None:
        if not kept:
            return
        try:
            account.restore(wire.UpstreamDoc.decode(kept), now)
        except wire.WireError as error:
            ksr.log_error(f"registration of {account.id}: {error}")
        if account.service_route:
            ksr.table_set(wire.TABLE_SERVICE_ROUTE, account.id, account.service_route)

    def _follow_devices(self, account: Account, document: wire.ConnectionDoc, now: float) -> None:
        """Strategy while-awake: registered as long as a device is."""
        rung = [line for line in (lines.get(aor) for aor in document.aors) if line is not None]
        awake = any(ksr.is_bound(self._node.device_uri(d.id)) for line in rung for d in line.devices)
        if awake and (account.state == "resting" or account.leaving):
            account.come_back(now)
        elif not awake and account.state != "resting" and not account.leaving:
            if account.in_flight or registrar_state.is_valid(account, now):
                account.leave(now, forget=False)
            else:
                account.state, account.due = "resting", NEVER
                self._tell(account, Reply(0, "", account.cseq), now)

    def _retry(self, connection: str, now: float) -> None:
        """A person says that it will work now: one REGISTER leaves, whatever the PBX has refused before."""
        account = self._accounts.get(connection)
        if account is None or account.in_flight or account.leaving or account.state == "resting":
            return
        account.begin_anew(now)
        hop = self._hop(account)
        self._begin(account, hop, self._pbxs[hop], now)

    def _document(self, connection: str, text: str) -> wire.ConnectionDoc | None:
        return documents.read(wire.ConnectionDoc, connection, text, self._node.key) if text else None

    # ------------------------------------------------------------------------------------------ answers

    def _reply(self, call_id: str, text: str, now: float) -> None:
        reply = Reply.decode(text)
        account = self._accounts.get(call_id.removeprefix(PREFIX).rpartition("-")[0])
        if account is None or not account.in_flight or account.cseq != reply.cseq:
            return
        if reply.code < 200:
            self._heard.add(account.id)
            return
        self._heard.discard(account.id)
        account.in_flight = False
        hop = account.hop
        pbx = self._pbxs[hop]
        pbx.in_flight -= 1
        if pbx.down:
            heapq.heappush(self._agenda, (now, hop))
        for stranded in pbx.answered():
            self._due_now(stranded, now)
        was, route = account.state, account.service_route
        action = registrar_state.answered(account, reply, now, random.random())
        if reply.code < 300:
            self._accepted_at[hop] = now
        elif action != SEND and account.state in ("refused", "stopped"):
            self._refused_at[hop] = now
            pbx.caution.refused(now)
            if pbx.caution.exhausted(now):
                self._tell_held_back(pbx, now)
        if reply.code == 503 and now - self._accepted_at.get(hop, 0.0) > _SPEAKS_FOR_PBX_S:
            pbx.pause(now + min(reply.retry_after or 5.0, 600.0), now)
        if action != SEND:
            self._tried(account, pbx, reply.code < 300, now)
        if action == SEND:
            self._send(account, hop, pbx, now)
        elif (
            was == account.state == "registered"
            and account.service_route == route
            and account.told_of_challenge()
        ):
            self._refresh(account, reply, now)
        else:
            self._settle(account, reply, now)

    def _tried(self, account: Account, pbx: Pbx, accepted: bool, now: float) -> None:
        """What was on its way has ended; if it was an unproven credential, the next may go."""
        if not account.trying:
            return
        account.trying = False
        pbx.caution.settled()
        if accepted:
            pbx.caution.accepted()
        heapq.heappush(self._agenda, (now, account.hop))

    def _tell_held_back(self, pbx: Pbx, now: float) -> None:
        for connection in pbx.put_off_accounts(_TOLD_AT_ONCE):
            account = self._accounts.get(connection)
            if account is not None:
                self._hold_back(account, now)

    def _hold_back(self, account: Account, now: float) -> None:
        if account.why != "held-back":
            account.why = "held-back"
            self._tell(account, Reply(0, "", account.cseq), now)

    def _unanswered(self, register: Register) -> bool:
        account = self._accounts.get(register.account)
        return account is not None and account.in_flight and account.cseq == register.cseq

    def _silence(self, account: Account, why: str, now: float) -> None:
        self._heard.discard(account.id)
        account.in_flight = False
        hop = account.hop
        pbx = self._pbxs[hop]
        pbx.in_flight -= 1
        self._tried(account, pbx, accepted=False, now=now)
        pbx.silent(account.id, account.why in _SILENCE, now)
        if pbx.down and now - self._refused_at.get(hop, -_REFUSED_LATELY_S) < _REFUSED_LATELY_S:
            why = "suspected-ban"
        registrar_state.silent(account, why, now, random.random())
        reason = "could not be sent" if why == "not-sent" else "no answer"
        self._settle(account, Reply(0, reason, account.cseq), now)

    def _due_now(self, connection: str, now: float) -> None:
        account = self._accounts.get(connection)
        if account and not account.in_flight and account.why in _SILENCE and account.due > now:
            account.due = now
            self._schedule(account)

    def _refresh(self, account: Account, reply: Reply, now: float) -> None:
        """Nothing has changed but the time: one line of a datagram that many share."""
        self._refreshed.append(
            [
                account.id,
                account.cseq,
                account.nonce_count,
                int(account.due),
                int(account.expires_at),
                account.new_nonce(),
                account.round_trip_ms(reply),
            ]
        )
        if len(self._refreshed) >= _REFRESHES:
            self._flush(now)
        self._wait_for_next(account, now)

    def _flush(self, now: float) -> None:
        if self._refreshed:
            self._node.events.send(wire.RefreshEvent(now, self._refreshed))
            self._refreshed = []
        self._flushed_at = now

    def _wait_for_next(self, account: Account, now: float) -> None:
        if account.sent_revision != account.revision and not account.leaving:
            account.state, account.due = "new", now  # it was changed while the REGISTER was under way
        self._schedule(account)

    def _settle(self, account: Account, reply: Reply, now: float) -> None:
        # Whoever hears of it may call at once: the way of calls comes first.
        if account.service_route and account.state != "unregistered":
            ksr.table_set(wire.TABLE_SERVICE_ROUTE, account.id, account.service_route)
        elif account.state in ("registered", "unregistered"):
            ksr.table_remove(wire.TABLE_SERVICE_ROUTE, account.id)  # it wants none any more
        self._tell(account, reply, now)
        if account.state == "unregistered":
            del self._accounts[account.id]
        else:
            self._wait_for_next(account, now)

    def _tell(self, account: Account, reply: Reply, now: float) -> None:
        account.told = account.challenge
        challenge = account.challenge
        self._node.events.send(
            wire.UpstreamEvent(
                ts=now,
                connection=account.id,
                state=account.state,
                code=reply.code,
                reason=reply.reason,
                expires=int(account.expires_at - now) if account.state == "registered" else 0,
                rtt_ms=account.round_trip_ms(reply),
                realm=challenge.realm if challenge else "",
                algorithm=challenge.algorithm if challenge else "",
                durable=account.keep().encode(),  # and with it, the challenge
                why=account.why,
                due=0.0 if account.due == NEVER else account.due,
            )
        )

    # ------------------------------------------------------------------------------------------- sending

    def _hop(self, account: Account) -> str:
        """The next hop to use: the one that answered last, else the first, and after a silent one the one behind it."""
        hop = account.next_hop
        if account.alternatives:
            hops = (hop, *account.alternatives)
            begin = hops.index(account.hop) if account.hop in hops else 0
            if account.why in _SILENCE:
                begin += 1
            order = (*hops[begin:], *hops[:begin])
            hop = next((h for h in order if h not in self._pbxs or self._pbxs[h].usable(self._now)), hop)
        if hop not in self._pbxs:
            self._pbxs[hop] = Pbx(self._node.settings.registers_per_second_per_pbx, self._now)
        return hop

    def _schedule(self, account: Account) -> None:
        if account.due == NEVER or account.in_flight:
            return
        hop = self._hop(account)
        if self._pbxs[hop].schedule(account.due, account.id):
            heapq.heappush(self._agenda, (account.due, hop))

    def _send_all_due(self, now: float) -> None:
        """Look only at the PBXs somebody is due at: there may be as many as there are accounts."""
        hops = set()
        while self._agenda and self._agenda[0][0] <= now:
            hops.add(heapq.heappop(self._agenda)[1])
        for hop in hops:
            pbx = self._pbxs[hop]
            self._send_due(hop, pbx, now)
            following = pbx.next_due()
            if following != NEVER:
                heapq.heappush(self._agenda, (max(following, now + _AGAIN_S), hop))

    def _send_due(self, hop: str, pbx: Pbx, now: float) -> None:
        if pbx.down and not self._overall.ready:
            return
        for due, connection in pbx.take_due(now):
            account = self._accounts.get(connection)
            if account is None or account.due != due or account.in_flight:
                continue
            if self._hop(account) != hop:
                self._schedule(account)
                continue
            if not account.proven and not pbx.down and not pbx.caution.room(now):
                pbx.put_off(due, connection)
                if pbx.caution.exhausted(now):
                    self._hold_back(account, now)
                continue
            if not self._overall.ready or not pbx.may_send(now):
                if pbx.down:
                    pbx.hold(due, connection, bool(account.alternatives))
                    continue
                pbx.schedule(due, connection)
                return
            self._overall.take()
            self._begin(account, hop, pbx, now)

    def _begin(self, account: Account, hop: str, pbx: Pbx, now: float) -> None:
        account.rounds = 0
        if not account.proven:
            account.trying = True
            pbx.caution.tried()
        self._send(account, hop, pbx, now)

    def _send(self, account: Account, hop: str, pbx: Pbx, now: float) -> None:
        account.sending(hop, now)
        pbx.in_flight += 1
        register = self._writer.write(account, hop, now)
        self._under_way.sent(register, now)
        if not ksr.send(hop, register.socket, register.text):
            self._silence(account, "not-sent", now)


_registrar: Registrar | None = None


def tick(node: Node) -> int:
    """Timer: one step of the registrar, in the process that owns it."""
    global _registrar  # noqa: PLW0603 - the one registrar of the one process that runs this timer
    now = time.time()
    if _registrar is None:
        with projection.Kept(node.settings.projection) as kept:
            _registrar = Registrar(node, now, kept.upstream)
    _registrar.tick(now)
    return 1
