"""One registration at one PBX, as a state machine: a reply (or silence) in, what to do next out. No I/O, no clock of its own."""

from __future__ import annotations

from sys import intern
from typing import Literal

from kemi import digest
from kemi.contact import transport_of
from kemi.digest import Challenge
from kemi.registrar_agenda import NEVER
from kemi.registrar_reply import Reply
from kemi.registrar_takeover import AGAIN_S, Takeover
from kemi.wire import ConnectionDoc, UpstreamDoc

State = Literal[
    "new",  # not tried yet
    "registering",  # a REGISTER is on its way
    "registered",
    "awaiting-credential",  # the PBX has named its realm; the credential for it is being made
    "offline",  # accepted, but our contact is not in the PBX's list
    "refused",  # the PBX said no; tried again after a pause that grows
    "stopped",  # it said no too often; nothing is sent until the connection is changed
    "unreachable",  # no answer, or one that speaks of trouble at the PBX
    "resting",  # strategy while-awake, and no device is awake
    "unregistering",
    "unregistered",
]

# Why a state is not a good one. The control plane has a sentence for each.
WHY = (
    "wrong-password",
    "forbidden",
    "unknown-account",
    "too-brief",
    "redirected",
    "server-error",
    "overloaded",
    "no-answer",
    "not-sent",
    "not-listed",
    "foreign-realm",
    "unsupported-digest",
    "contacts-full",
    "suspected-ban",
    "held-back",
)
_REFUSALS_WHY = (
    "wrong-password",
    "forbidden",
    "unknown-account",
    "foreign-realm",
    "unsupported-digest",
    "contacts-full",
)

# What a PBX asks us to do next.
Action = Literal["send", "wait"]
SEND: Action = "send"
WAIT: Action = "wait"

# Any fixed moment will do: CSeq is the seconds since, so that it grows over restarts even if its last value was lost.
_CSEQ_EPOCH = 1_600_000_000
_REFUSALS = 3
_ROUNDS = 3
_LONGEST_EXPIRES = 86_400
_LONGEST_PAUSE_S = 600.0
_AFTER_REFUSAL_S = 60.0


class Account:
    """The registration of one connection. Times are UNIX seconds.

    There may be 100,000 of them: fields are kept small, texts that many share are shared.
    """

    __slots__ = (
        "_ha1_md5",
        "_ha1_sha256",
        "alternatives",
        "asked",
        "auth_user",
        "challenge",
        "cseq",
        "domain",
        "due",
        "expires",
        "expires_at",
        "failures",
        "forget",
        "fresh",
        "hop",
        "id",
        "in_flight",
        "leaving",
        "next_hop",
        "nonce_count",
        "proven",
        "realm",
        "revision",
        "rounds",
        "sent_at",
        "sent_leaving",
        "sent_revision",
        "service_route",
        "state",
        "strategy",
        "takeover",
        "told",
        "trying",
        "user",
        "why",
    )

    def __init__(self, connection: str, document: ConnectionDoc, now: float) -> None:
        self.id = connection
        self.state: State = "new"
        self.why = ""
        self.cseq = int(now) - _CSEQ_EPOCH
        self.challenge: Challenge | None = None
        self.told: Challenge | None = None  # what the edge agent keeps of it
        self.nonce_count = 0
        self.due = now
        self.expires_at = 0.0
        self.failures = 0
        self.rounds = 0
        self.proven = False  # the PBX has accepted this credential
        self.trying = False  # it counts among the unproven ones that are on their way
        self.fresh = False  # the last REGISTER answered a challenge that was made for it
        self.in_flight = False
        self.sent_at = 0.0
        self.sent_leaving = False  # what is in flight signs off
        self.sent_revision = ""  # of the document that what is in flight was made from
        self.hop = ""  # where it went
        self.leaving = False  # the next REGISTER signs off
        self.forget = False  # and then the account is gone
        self.service_route = ""
        self.takeover: Takeover | None = None
        self.expires = document.expires
        self._take(document)

    def _take(self, document: ConnectionDoc) -> None:
        self.asked = document.expires
        self.domain = intern(document.domain)
        self.user = document.user
        self.auth_user = document.user if document.auth_user == document.user else document.auth_user
        self.next_hop = intern(document.next_hop)
        self.alternatives = tuple(intern(hop) for hop in document.alternatives)
        self.realm = intern(document.realm)
        self.revision = intern(document.revision)
        self.strategy = intern(document.strategy)
        self._ha1_md5 = bytes.fromhex(document.ha1_md5)
        self._ha1_sha256 = bytes.fromhex(document.ha1_sha256)

    def change(self, document: ConnectionDoc, now: float) -> None:
        """Take a new document; register anew when it says so, or when a credential came that we waited for."""
        anew = document.revision != self.revision
        credential = bytes.fromhex(document.ha1_md5) != self._ha1_md5
        self._take(document)
        if anew:
            self.proven = False
            self.challenge = None
            self.expires = document.expires
        if anew or (credential and self.state != "registered"):
            self.begin_anew(now)

    def begin_anew(self, now: float) -> None:
        """Register now, and forget what the PBX has said so far."""
        self.failures = 0
        self.why = ""
        self.state = "new"
        self.due = now

    def restore(self, kept: UpstreamDoc, now: float) -> None:
        """Go on where the process before us stopped: a binding that is still valid is not registered anew."""
        self.cseq = max(kept.cseq + 1, self.cseq)
        if kept.revision != self.revision:
            return
        self.expires = kept.expires or self.expires
        self.failures = kept.failures
        self.proven = kept.expires_at > 0 and kept.state not in ("refused", "stopped")
        self.service_route = intern(kept.service_route)
        if kept.nonce:
            self.challenge = Challenge(
                intern(kept.realm), kept.nonce, intern(kept.algorithm), kept.opaque, kept.qop, False, False
            )
            self.told = self.challenge
            self.nonce_count = kept.nc
        if kept.state == "registered" and kept.expires_at > now:
            self.state = "registered"
            self.expires_at = kept.expires_at
            # A binding made over TCP or TLS died with the connection of the process before us.
            self.due = max(kept.due, now) if transport_of(self.next_hop) == "udp" else now
        elif kept.state == "refused":
            self.state, self.why, self.due = "refused", kept.why, max(kept.due, now)
        elif kept.state == "stopped":
            self.state, self.why, self.due = "stopped", kept.why, NEVER

    def keep(self) -> UpstreamDoc:
        """What restore wants to know."""
        c = self.challenge
        return UpstreamDoc(
            state=self.state,
            revision=self.revision,
            cseq=self.cseq,
            due=0.0 if self.due == NEVER else round(self.due, 2),
            expires_at=round(self.expires_at, 2),
            expires=self.expires,
            realm=c.realm if c else "",
            algorithm=c.algorithm if c else "",
            nonce=c.nonce if c else "",
            opaque=c.opaque if c else "",
            qop=bool(c and c.qop),
            nc=self.nonce_count,
            failures=self.failures,
            why=self.why,
            service_route=self.service_route,
        )

    def sending(self, hop: str, now: float) -> None:
        """The next REGISTER leaves for a next hop."""
        self.cseq += 1
        self.in_flight = True
        self.sent_at = now
        self.sent_leaving = self.leaving
        self.sent_revision = self.revision
        self.hop = hop

    def round_trip_ms(self, reply: Reply) -> float:
        """Milliseconds from the REGISTER to this reply, 0 when there is none."""
        return int(max(0.0, reply.at - self.sent_at) * 1e5) / 100 if reply.code else 0.0

    def told_of_challenge(self) -> bool:
        """Whether the edge agent keeps the challenge as it is, but for its nonce."""
        ours, told = self.challenge, self.told
        if ours is told:
            return True
        return ours is not None and told is not None and ours.alike(told)

    def new_nonce(self) -> str:
        """The nonce, ``""`` when the edge agent has been told of it; it is taken for told then."""
        if self.challenge is self.told or self.challenge is None:
            return ""
        self.told = self.challenge
        return self.challenge.nonce

    def leave(self, now: float, forget: bool) -> None:
        """Sign off: for good, or until a device is awake again."""
        self.leaving = True
        self.forget = self.forget or forget
        self.failures = 0
        self.rounds = 0
        self.state = "unregistering"
        self.due = now

    def come_back(self, now: float) -> None:
        """Register (again) after a rest."""
        self.leaving = self.forget = False
        self.state = "new"
        self.due = now

    def credential(self, uri: str, client_nonce: str) -> str:
        """The Authorization header line for the next REGISTER, ``""`` when there is nothing to answer yet."""
        challenge = self.challenge
        if challenge is None or challenge.realm != self.realm or not self._ha1_md5:
            return ""
        self.nonce_count += 1
        ha1 = self._ha1_sha256 if challenge.algorithm == digest.SHA256 else self._ha1_md5
        return digest.answer(
            challenge, self.auth_user, ha1.hex(), "REGISTER", uri, self.nonce_count, client_nonce
        )

    def can_answer(self, challenge: Challenge) -> bool:
        """Whether there is a credential for it: a challenge for somebody else's realm gets none (it could be fishing)."""
        return challenge.realm == self.realm and bool(
            self._ha1_sha256 if challenge.algorithm == digest.SHA256 else self._ha1_md5
        )


def answered(account: Account, reply: Reply, now: float, jitter: float) -> Action:
    """A final reply to the REGISTER in flight has come. ``jitter`` is a random number in [0, 1)."""
    if reply.code not in (401, 407):
        account.fresh = False  # the credential was good, so the next challenge is about the nonce
    if reply.code < 300:
        return _accepted(account, reply, now, jitter)
    if reply.code in (401, 407):
        return _challenged(account, reply, now, jitter)
    if reply.code == 423:
        return _too_brief(account, reply, now, jitter)
    if reply.code < 400:
        return _refused(account, "redirected", now, jitter)
    if reply.code == 404:
        return _refused(account, "unknown-account", now, jitter)
    if reply.code in (403, 405, 489) or reply.code >= 600:
        if reply.code == 403 and _take_over(account, now):
            return SEND
        full = account.takeover is not None and reply.code == 403
        return _refused(account, "contacts-full" if full else "forbidden", now, jitter)
    why = "overloaded" if reply.code == 503 else "server-error"
    return _back_off(account, "unreachable", why, now, jitter, reply.retry_after)


def silent(account: Account, why: str, now: float, jitter: float) -> None:
    """No final reply came in time. After refusals, silence is what a ban looks like."""
    if account.why in _REFUSALS_WHY or account.why == "suspected-ban":
        why = "suspected-ban"
    _back_off(account, "unreachable", why, now, jitter, 300.0 if why == "suspected-ban" else 0.0)


def _accepted(account: Account, reply: Reply, now: float, jitter: float) -> Action:
    account.rounds = 0
    _renew_nonce(account, reply)
    if account.takeover and account.takeover.accepted(reply.contacts, account.id, account.sent_leaving, now):
        return SEND
    if account.sent_leaving:
        account.expires_at = 0.0
    if account.leaving != account.sent_leaving:
        return SEND  # it was told to leave, or to come back, while this was under way
    if account.leaving:
        account.state = "unregistered" if account.forget else "resting"
        account.leaving = False
        account.due = NEVER
        account.why = ""
        return WAIT
    granted = reply.granted_to(account.id, account.expires)
    if not granted:
        if _take_over(account, now):
            return SEND
        return _back_off(account, "offline", "not-listed", now, jitter, 30.0)
    account.failures = 0
    account.why = ""
    account.state = "registered"
    account.proven = True
    account.service_route = intern(reply.service_route)
    account.expires_at = now + granted
    # Spread over the second half of the registration's life, never later than 5 s before its end.
    account.due = now + max(1.0, min(granted * (0.5 + 0.4 * jitter), granted - 5.0))
    return WAIT


def _take_over(account: Account, now: float) -> bool:
    """There was no room for us: start taking over, if the connection wants that and it was not tried just now."""
    before = account.takeover
    if account.strategy != "single-contact" or account.leaving or (before and now - before.began < AGAIN_S):
        return False
    account.takeover = Takeover(now, others=before.others if before else [])
    return True


def _renew_nonce(account: Account, reply: Reply) -> None:
    following = digest.next_nonce(reply.authentication_info) if reply.authentication_info else ""
    if following and account.challenge:
        c = account.challenge
        account.challenge = Challenge(c.realm, following, c.algorithm, c.opaque, c.qop, False, c.proxy)
        account.nonce_count = 0


def _challenged(account: Account, reply: Reply, now: float, jitter: float) -> Action:
    offered = digest.challenges(reply.challenge, proxy=reply.code == 407)
    if not offered:
        return _refused(account, "unsupported-digest", now, jitter)
    if not account.realm and account.leaving:
        return _back_off(account, "unreachable", "", now, jitter, 0.0)  # there is nothing to sign off with
    if not account.realm:
        account.challenge = offered[0]
        account.state = "awaiting-credential"
        account.due = now + 30.0
        return WAIT
    ours = [c for c in offered if account.can_answer(c)]
    if not ours:
        return _refused(account, "foreign-realm", now, jitter)
    chosen = ours[0]
    account.rounds += 1
    if (account.fresh and not chosen.stale) or account.rounds > _ROUNDS:
        account.challenge = None
        return _refused(account, "wrong-password", now, jitter)
    account.challenge = chosen
    account.nonce_count = 0
    account.fresh = True
    return SEND


def _too_brief(account: Account, reply: Reply, now: float, jitter: float) -> Action:
    wanted = reply.min_expires
    if not account.expires < wanted <= _LONGEST_EXPIRES or account.rounds >= _ROUNDS:
        return _refused(account, "too-brief", now, jitter)
    account.rounds += 1
    account.expires = wanted
    return SEND


def _refused(account: Account, why: str, now: float, jitter: float) -> Action:
    """A no that will not become a yes by asking again soon; asking on would get our address banned."""
    account.proven = False
    if account.why not in _REFUSALS_WHY:
        account.failures = 0  # silences before it are no refusals
    _back_off(account, "refused", why, now, jitter, _AFTER_REFUSAL_S)
    if account.failures >= _REFUSALS and account.state == "refused":
        account.state = "stopped"
        account.due = NEVER
    return WAIT


def _back_off(account: Account, state: State, why: str, now: float, jitter: float, at_least: float) -> Action:
    account.rounds = 0
    account.fresh = False
    if account.takeover:
        account.takeover.step = "hold"
    account.failures += 1
    account.why = why
    if account.leaving:
        # Signing off was tried; what the PBX still holds expires by itself.
        account.state = "unregistered" if account.forget else "resting"
        account.leaving = False
        account.due = NEVER
        return WAIT
    account.state = state
    pause = min(_LONGEST_PAUSE_S, 5.0 * 2.0 ** min(account.failures - 1, 7)) * (0.5 + jitter / 2)
    account.due = now + max(at_least, pause)
    return WAIT


def is_valid(account: Account, now: float) -> bool:
    """Whether the PBX still has us, as far as we know: a failed refresh does not end a registration."""
    return account.expires_at > now
