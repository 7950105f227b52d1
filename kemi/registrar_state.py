"""One registration at one PBX, as a state machine: a reply (or silence) in, what to do next out. No I/O, no clock of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kemi import digest
from kemi.digest import Challenge
from kemi.wire import ConnectionDoc, UpstreamDoc

State = Literal[
    "new",  # not tried yet
    "registering",  # a REGISTER is on its way
    "registered",
    "awaiting-credential",  # the PBX has named its realm; the credential for it is being made
    "offline",  # accepted, but our contact is not in the PBX's list
    "refused",  # the PBX said no; tried again after a pause that grows
    "stopped",  # it said no too often; nothing is sent until the connection is changed
    "unreachable",  # no answer
    "unregistering",
    "unregistered",
]

# Any fixed moment will do: CSeq is the seconds since, so that it grows over restarts even if its last value was lost.
_CSEQ_EPOCH = 1_600_000_000
_REFUSALS = 3
_ROUNDS = 3
_GRANTED = re.compile(r'>[^,]*;\s*expires\s*=\s*"?(\d+)', re.IGNORECASE)
_SPLIT_CONTACTS = re.compile(r',(?=\s*(?:"|<|sips?:))')


@dataclass(frozen=True)
class Reply:
    """A reply to our REGISTER. ``contacts`` and ``challenge`` are header bodies joined by commas; ``extra`` is Expires of a
    2xx, Min-Expires of a 423 and Retry-After of the rest."""

    code: int
    reason: str
    cseq: int
    contacts: str = ""
    challenge: str = ""
    extra: str = ""
    authentication_info: str = ""


@dataclass(frozen=True)
class Send:
    """Send a REGISTER now."""


@dataclass(frozen=True)
class Wait:
    """Do nothing until the account is due, which it says itself."""


Action = Send | Wait


class Account:
    """The registration of one connection. Times are UNIX seconds."""

    __slots__ = (
        "challenge",
        "cseq",
        "document",
        "due",
        "expires",
        "expires_at",
        "failures",
        "fresh",
        "id",
        "in_flight",
        "nonce_count",
        "removing",
        "rounds",
        "sent_at",
        "state",
    )

    def __init__(self, connection: str, document: ConnectionDoc, now: float) -> None:
        self.id = connection
        self.document = document
        self.state: State = "new"
        self.cseq = int(now) - _CSEQ_EPOCH
        self.challenge: Challenge | None = None
        self.nonce_count = 0
        self.due = now
        self.expires_at = 0.0
        self.expires = document.expires
        self.failures = 0
        self.rounds = 0
        self.fresh = False
        self.in_flight = False
        self.sent_at = 0.0
        self.removing = False

    def restore(self, kept: UpstreamDoc, now: float) -> None:
        """Go on where the process before us stopped: a binding that is still valid is not registered anew."""
        self.cseq = max(kept.cseq + 1, self.cseq)
        if kept.revision != self.document.revision:
            return
        self.expires = kept.expires or self.expires
        self.failures = kept.failures
        if kept.nonce:
            self.challenge = Challenge(
                kept.realm, kept.nonce, kept.algorithm, kept.opaque, kept.qop, False, False
            )
            self.nonce_count = kept.nc
        if kept.state == "registered" and kept.expires_at > now:
            self.state = "registered"
            self.expires_at = kept.expires_at
            self.due = max(kept.due, now)
        elif kept.state in ("refused", "stopped"):
            self.state = "stopped" if kept.state == "stopped" else "refused"
            self.due = kept.due

    def keep(self) -> UpstreamDoc:
        """What restore wants to know."""
        c = self.challenge
        return UpstreamDoc(
            state=self.state,
            revision=self.document.revision,
            cseq=self.cseq,
            due=round(self.due, 2),
            expires_at=round(self.expires_at, 2),
            expires=self.expires,
            realm=c.realm if c else "",
            algorithm=c.algorithm if c else "",
            nonce=c.nonce if c else "",
            opaque=c.opaque if c else "",
            qop=bool(c and c.qop),
            nc=self.nonce_count,
            failures=self.failures,
        )


def changed(account: Account, document: ConnectionDoc, now: float) -> None:
    """The connection was changed: take the new document; register anew when it says so or when we waited for it."""
    anew = document.revision != account.document.revision
    credential = document.ha1_md5 != account.document.ha1_md5
    account.document = document
    if anew:
        account.challenge = None
        account.expires = document.expires
    if anew or (credential and account.state != "registered"):
        account.failures = 0
        account.state = "new"
        account.due = now


def answered(account: Account, reply: Reply, now: float, jitter: float) -> Action:
    """A final reply to the REGISTER in flight has come. ``jitter`` is a random number in [0, 1)."""
    if reply.code < 300:
        return _accepted(account, reply, now, jitter)
    if reply.code in (401, 407):
        return _challenged(account, reply, now, jitter)
    if reply.code == 423 and reply.extra.isdigit() and account.rounds < _ROUNDS:
        account.rounds += 1
        account.expires = max(account.expires, int(reply.extra))
        return Send()
    retry_after = re.match(r"\s*(\d+)", reply.extra)
    pause = float(retry_after[1]) if retry_after else 0.0
    if reply.code in (403, 404):
        return _refused(account, now, jitter)
    return _back_off(account, "unreachable", now, jitter, pause)


def silent(account: Account, now: float, jitter: float) -> Action:
    """No final reply came in time."""
    return _back_off(account, "unreachable", now, jitter, 0.0)


def _accepted(account: Account, reply: Reply, now: float, jitter: float) -> Action:
    account.rounds = 0
    account.fresh = False
    if account.removing:
        account.state = "unregistered"
        return Wait()
    following = digest.next_nonce(reply.authentication_info)
    if following and account.challenge and "!!" not in following:
        c = account.challenge
        account.challenge = Challenge(c.realm, following, c.algorithm, c.opaque, c.qop, False, c.proxy)
        account.nonce_count = 0
    granted = _granted(account, reply)
    if granted is None:
        return _back_off(account, "offline", now, jitter, 30.0)
    account.failures = 0
    account.state = "registered"
    account.expires_at = now + granted
    # Spread over the second half of the registration's life, never later than 5 s before its end.
    account.due = now + max(1.0, min(granted * (0.5 + 0.4 * jitter), granted - 5.0))
    return Wait()


def _granted(account: Account, reply: Reply) -> int | None:
    """Seconds granted to our own contact; None when it is not in the list (RFC 3261, 10.2.4)."""
    ours = f"sip:{account.id}@"
    for item in _SPLIT_CONTACTS.split(reply.contacts):
        if ours in item:
            found = _GRANTED.search(item)
            if found:
                return int(found[1])
            return int(reply.extra) if reply.extra.isdigit() else account.expires
    return None


def _challenged(account: Account, reply: Reply, now: float, jitter: float) -> Action:
    offered = digest.challenges(reply.challenge, proxy=reply.code == 407)
    if not offered:
        return _refused(account, now, jitter)
    realm = account.document.realm
    if not realm:
        account.challenge = offered[0]
        account.state = "awaiting-credential"
        account.due = now + 30.0
        return Wait()
    ours = [
        c for c in offered if c.realm == realm and (c.algorithm == digest.MD5 or account.document.ha1_sha256)
    ]
    if not ours:
        # A challenge for somebody else's realm gets no answer: it could be fishing for one.
        return _refused(account, now, jitter)
    chosen = ours[0]
    account.rounds += 1
    if (account.fresh and not chosen.stale) or account.rounds > _ROUNDS:
        account.challenge = None
        return _refused(account, now, jitter)
    account.challenge = chosen
    account.nonce_count = 0
    account.fresh = True
    return Send()


def _refused(account: Account, now: float, jitter: float) -> Action:
    """A no that will not become a yes by asking again soon; asking on would get our address banned."""
    _back_off(account, "refused", now, jitter, 60.0)
    if account.failures >= _REFUSALS:
        account.state = "stopped"
        account.due = float("inf")
    return Wait()


def _back_off(account: Account, state: State, now: float, jitter: float, at_least: float) -> Action:
    account.state = "unregistered" if account.removing else state
    account.rounds = 0
    account.fresh = False
    account.failures += 1
    pause = min(600.0, 5.0 * 2.0 ** min(account.failures - 1, 7)) * (0.5 + jitter / 2)
    account.due = now + max(at_least, pause)
    return Wait()


def credential(account: Account, uri: str, client_nonce: str) -> str:
    """The Authorization header line for the next REGISTER, ``""`` when there is nothing to answer yet."""
    challenge, document = account.challenge, account.document
    if challenge is None or challenge.realm != document.realm or not document.ha1_md5:
        return ""
    account.nonce_count += 1
    ha1 = document.ha1_sha256 if challenge.algorithm == digest.SHA256 else document.ha1_md5
    return digest.answer(
        challenge, document.auth_user, ha1, "REGISTER", uri, account.nonce_count, client_nonce
    )
