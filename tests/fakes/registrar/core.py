"""The registrar's mind: bytes and the time in, answers out. No sockets, no clock of its own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from tests.fakes.registrar import message
from tests.fakes.registrar.ban import Ban
from tests.fakes.registrar.behaviour import Behaviour, by_name
from tests.fakes.registrar.bindings import Bindings
from tests.fakes.registrar.digest import Gate, Verdict
from tests.fakes.registrar.errors import MessageError
from tests.fakes.registrar.message import Contact, Request
from tests.fakes.registrar.statistics import Statistics

_ALLOW = "Allow: REGISTER, OPTIONS"


class Answer(NamedTuple):
    """What to send after ``after`` seconds; no ``data`` means: cut the connection."""

    after: float
    data: bytes


class Seen(NamedTuple):
    """One line of an account's history: a REGISTER and the reply it got (0: none)."""

    at: float
    call_id: str
    cseq: int
    credentials: bool
    algorithm: str
    nonce_count: str
    contacts: list[str]
    expires: int | None
    code: int


@dataclass(slots=True)
class Account:
    """What is known of one user."""

    user: str
    gate: Gate
    how: Behaviour
    orders: int = 0  # how many of the orders are worked into `how`
    timed: list[tuple[Behaviour, int]] = field(default_factory=list)
    call_id: str = ""
    tag: str = ""
    cseq: int = 0
    branch: str = ""
    answers: list[Answer] = field(default_factory=list)
    bindings: Bindings = field(default_factory=Bindings)
    history: list[Seen] = field(default_factory=list)

    def next_behaviour(self) -> Behaviour:
        """How this request is treated."""
        if not self.timed:
            return self.how
        how, left = self.timed.pop(0)
        if left > 1:
            self.timed.insert(0, (how, left - 1))
        return how


class Core:
    """All accounts of one PBX. Every user name is an account; its password is ``digest.password(user)``.

    ``history`` is how many REGISTERs of an account are remembered.
    """

    def __init__(self, realm: str = "pbx.test", default: Behaviour | None = None, history: int = 50) -> None:
        self.realm = realm
        self.statistics = Statistics()
        self.ban = Ban()
        self.accounts: dict[str, Account] = {}
        self._default = default or Behaviour()
        self._history = history
        self._orders: list[tuple[str, Mapping[str, Any], int]] = []

    # -------------------------------------------------------------------------------------------- orders

    def order(self, users: str, knobs: Mapping[str, Any], times: int = 0) -> None:
        """Treat accounts whose name matches ``users`` (a shell pattern) so, or only their next ``times`` REGISTERs.

        Later orders change what earlier ones left. Raises BehaviourError.
        """
        Behaviour().changed(knobs)
        self._orders.append((users, dict(knobs), times))

    def forget_orders(self) -> None:
        """Treat every account by its name again."""
        self._orders.clear()
        for account in self.accounts.values():
            account.how, account.orders, account.timed = self._by_name(account.user), 0, []

    def clear(self) -> None:
        """Start the statistics and the histories anew."""
        self.statistics = Statistics()
        for account in self.accounts.values():
            account.history.clear()

    def bound(self, now: float) -> int:
        """How many accounts have a live binding of their own."""
        return sum(account.bindings.held(now) for account in self.accounts.values())

    # ------------------------------------------------------------------------------------------ requests

    def receive(self, data: bytes, address: str, now: float) -> list[Answer]:
        """Take a message that came from the IP ``address`` at ``now`` (UNIX seconds)."""
        if self.ban.holds(address, now):
            self.statistics.banned += 1
            return []
        try:
            request = message.parse(data)
            cseq = request.cseq
        except MessageError:
            self.statistics.malformed += 1
            return []
        if request.method != "REGISTER":
            return _not_a_register(request)
        account = self._account(request.user, now)
        branch = request.branch
        if account.branch == branch:
            self.statistics.retransmissions += 1
            return [answer for answer in account.answers[:1] if not answer.after]
        account.branch = branch
        self.statistics.arrived(now)
        self._compare(account, request, cseq)
        how = account.next_behaviour()
        code, replies = self._answers(account, request, how, address, now)
        if self._history:
            self._note(account, request, how, cseq, code, now)
        account.answers = replies
        return replies

    def _answers(
        self, account: Account, request: Request, how: Behaviour, address: str, now: float
    ) -> tuple[int, list[Answer]]:
        carries = request.credentials(how.proxy)
        if how.silent:
            return 0, []
        if how.reset == "request" or (how.reset == "credentials" and carries):
            return 0, [Answer(how.delay, b"")]
        code, headers = self._decide(account, request, how, carries, now)
        if code in (403, 404) or (code in (401, 407) and carries and not _is_stale(headers)):
            self.ban.failed(address, now)
        self.statistics.replied(code)
        reason = how.reason if code == how.status else ""
        final = Answer(how.delay, message.reply(request, code, reason, headers))
        first = [Answer(0.0, message.reply(request, 100, ""))] if how.trying else []
        return code, first + [final] * (how.copies if code == 200 else 1)

    def _decide(
        self, account: Account, request: Request, how: Behaviour, given: dict[str, str] | None, now: float
    ) -> tuple[int, list[str]]:
        if how.unasked:
            return how.status, list(how.headers)
        if how.auth:
            challenged = 407 if how.proxy else 401
            if given is None:
                return challenged, account.gate.challenge(how, self.realm, now)
            verdict = account.gate.check(given, how, self.realm, request.method, now)
            if verdict is not Verdict.RIGHT:
                self._count(verdict)
                return challenged, account.gate.challenge(how, self.realm, now, verdict is not Verdict.WRONG)
        if how.status != 200:
            return how.status, list(how.headers)
        return self._register(account, request, how, now)

    def _count(self, verdict: Verdict) -> None:
        statistics = self.statistics
        if verdict is Verdict.WRONG:
            statistics.bad_digests += 1
        else:
            statistics.stale += 1
            statistics.replays += verdict is Verdict.REPLAYED

    # ------------------------------------------------------------------------------------------ bindings

    def _register(
        self, account: Account, request: Request, how: Behaviour, now: float
    ) -> tuple[int, list[str]]:
        contacts = request.contacts
        if not contacts:
            self.statistics.queries += 1
        if any(contact.uri == "*" for contact in contacts) and (len(contacts) > 1 or request.expires != 0):
            return 400, []
        expires = 3600 if request.expires is None else request.expires
        ours = []
        for contact in contacts:
            wanted = expires if contact.expires is None else contact.expires
            code = self._bind(account, contact, wanted, how, now)
            if code == 423:
                return 423, [f"Min-Expires: {how.min_expires}", *how.headers]
            if code != 200:
                return code, list(how.headers)
            ours.append(contact.uri)
        return 200, self._listed(account, request, how, ours, now)

    def _bind(self, account: Account, contact: Contact, wanted: int, how: Behaviour, now: float) -> int:
        bindings, statistics = account.bindings, self.statistics
        if wanted == 0:
            statistics.removed += bindings.remove(contact.uri)
            return 200
        if wanted < how.min_expires:
            return 423
        if not bindings.make_room(contact.uri, how.max_contacts, how.replace, now):
            return 403
        granted = _granted(how, wanted, now)
        before = bindings.bind(contact.uri, granted, now)
        statistics.accepted += 1
        statistics.users.add(account.user)
        if before is not None:
            left = before.until - now
            if left < 0:
                statistics.gaps += 1
                statistics.lapsed.add(account.user)
                statistics.longest_gap = max(statistics.longest_gap, -left)
            elif left > before.granted / 2:
                statistics.early.add(account.user)
        return 200

    def _listed(
        self, account: Account, request: Request, how: Behaviour, ours: list[str], now: float
    ) -> list[str]:
        lines, granted = [], 0
        for uri, binding in account.bindings.live(now).items():
            if uri in ours:
                granted = binding.granted
                if how.hide_ours:
                    continue
            left = binding.granted if uri in ours else round(binding.until - now)
            lines.append(f"Contact: <{uri}>" + (f";expires={left}" if how.granted_by == "contact" else ""))
        if how.granted_by == "header" and granted:
            lines.append(f"Expires: {granted}")
        # The Path a request came by is shown to its sender (RFC 3327, 5.3).
        lines += [f"Path: {body}" for body in request.headers.get("path", ())]
        if how.next_nonce and how.auth:
            lines.append(f'Authentication-Info: nextnonce="{account.gate.fresh(how, now)}"')
        return lines + list(how.headers)

    # ------------------------------------------------------------------------------------------ accounts

    def _account(self, user: str, now: float) -> Account:
        account = self.accounts.get(user)
        if account is None:
            account = self.accounts[user] = Account(user, Gate(user), self._by_name(user))
        if account.orders < len(self._orders):
            for users, knobs, times in self._orders[account.orders :]:
                if not fnmatchcase(user, users):
                    continue
                changed = account.how.changed(knobs)
                if times:
                    account.timed.append((changed, times))
                else:
                    account.how = changed
            account.orders = len(self._orders)
        for uri, seconds in account.how.others:
            if uri not in account.bindings.by_uri and not account.call_id:
                account.bindings.bind(uri, seconds, now, foreign=True)
        return account

    def _by_name(self, user: str) -> Behaviour:
        return by_name(user) or self._default

    def _compare(self, account: Account, request: Request, cseq: int) -> None:
        """Whether the client is still the one it was (RFC 3261, 10.2.4: same Call-ID, growing CSeq)."""
        call_id, tag = request.first("call-id"), request.from_tag
        if account.call_id:
            if call_id != account.call_id:
                self.statistics.call_id_changes += 1
            elif cseq <= account.cseq:
                self.statistics.cseq_regressions += 1
            self.statistics.tag_changes += tag != account.tag
        account.call_id, account.tag, account.cseq = call_id, tag, cseq

    def _note(
        self, account: Account, request: Request, how: Behaviour, cseq: int, code: int, now: float
    ) -> None:
        given = request.credentials(how.proxy)
        seen = Seen(
            now,
            account.call_id,
            cseq,
            given is not None,
            (given or {}).get("algorithm", ""),
            (given or {}).get("nc", ""),
            list(request.headers.get("contact", ())),
            request.expires,
            code,
        )
        account.history.append(seen)
        del account.history[: -self._history]


def _granted(how: Behaviour, wanted: int, now: float) -> int:
    if how.until:
        return max(how.granted_least, int(how.until - now) - random.randint(0, how.spread))
    granted = how.granted or wanted
    return random.randint(how.granted_least, granted) if how.granted_least else granted


def _is_stale(headers: list[str]) -> bool:
    return any("stale=true" in line for line in headers)


def _not_a_register(request: Request) -> list[Answer]:
    if request.method == "ACK":
        return []
    code = 200 if request.method == "OPTIONS" else 405
    return [Answer(0.0, message.reply(request, code, "", [_ALLOW]))]
