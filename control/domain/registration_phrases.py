"""How a connection stands at its PBX, in words; and for each failure the one sentence that says what to check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from control.domain.connection import TRUNK, WHILE_AWAKE

UNRESOLVABLE = "unresolvable"  # made here: the host has no address, so that Kamailio was told nothing
STOPPED = "stopped"
REGISTERED = "registered"

# What stands in brackets behind a state.
_SHORT = {
    "wrong-password": "wrong password",
    "forbidden": "forbidden",
    "unknown-account": "no such account",
    "too-brief": "interval too brief",
    "redirected": "moved elsewhere",
    "server-error": "the PBX failed",
    "overloaded": "the PBX is overloaded",
    "no-answer": "no answer",
    "not-sent": "cannot connect",
    "not-listed": "our contact is not listed",
    "foreign-realm": "foreign realm",
    "unsupported-digest": "unknown digest",
    "contacts-full": "no contact free",
    "suspected-ban": "perhaps banned",
    "held-back": "waits, so as not to be banned",
    UNRESOLVABLE: "host not found",
}

_STATES = {
    "new": "Connecting",
    "registering": "Connecting",
    "awaiting-credential": "Connecting",
    REGISTERED: "Connected",
    "offline": "Accepted but offline",
    "refused": "Refused",
    STOPPED: "Stopped",
    "unreachable": "Unreachable",
    "unregistering": "Signing off",
    "unregistered": "Signed off",
}


@dataclass(frozen=True)
class Standing:
    """All that is known of a connection and its registration; the fields of ``kemi.wire.UpstreamEvent``."""

    name: str
    user: str
    domain: str
    host: str
    transport: str
    strategy: str = "always"
    register: bool = True
    inbound: bool = False
    enabled: bool = True
    state: str = ""
    why: str = ""
    code: int = 0
    reason: str = ""
    lapsed: bool = False  # the PBX registered here, and its time is over

    @property
    def reply(self) -> str:
        """The PBX's own words, such as ``403 Forbidden``; empty for none."""
        return " ".join(str(part) for part in (self.code, self.reason) if part)


def state_words(standing: Standing) -> str:
    """The state in a few words (U1)."""
    if not standing.enabled:
        return "Disabled"
    if standing.why == UNRESOLVABLE:
        return "Unreachable (host not found)"
    if standing.inbound:
        here = standing.state == REGISTERED and not standing.lapsed
        return "Connected (the PBX registers here)" if here else "Waiting for the PBX to register here"
    if standing.strategy == TRUNK:
        return "Trunk, needs no registration"
    if not standing.register:
        return "Not registering"
    if not standing.state:
        return "Not heard of yet"
    if standing.strategy == WHILE_AWAKE and standing.state in ("resting", "unregistered"):
        return "Asleep, connects when a phone wakes"
    words = _STATES.get(standing.state, standing.state.replace("-", " ").capitalize())
    short = _SHORT.get(standing.why, standing.why.replace("-", " ")) if standing.state != REGISTERED else ""
    return f"{words} ({short})" if short else words


def advice(standing: Standing) -> str:
    """What is wrong and what to check, in one sentence; empty when nothing is."""
    if not standing.enabled or (standing.state == REGISTERED and standing.why != UNRESOLVABLE):
        return ""
    tell = _ADVICE.get(standing.why)
    if tell is not None:
        return tell(standing)
    if standing.state in ("refused", STOPPED, "unreachable", "offline") and (standing.why or standing.code):
        said = standing.reply or standing.why
        return f"The PBX answered {said}: look for it in the PBX's own log at this time."
    return ""


def _wrong_password(s: Standing) -> str:
    return (
        f"The PBX refused the password of {s.user}: compare user, auth_user and password with the account at the PBX, "
        f"then `nightbell connection set {s.name} --password-prompt`."
    )


def _forbidden(s: Standing) -> str:
    return (
        f"The PBX forbids {s.user} to register ({s.reply or '403'}): check there that the account is enabled and may register "
        "from this address."
    )


def _unknown_account(s: Standing) -> str:
    return f"The PBX has no account {s.user}@{s.domain} ({s.reply or '404'}): check user and domain, and that the account exists."


def _too_brief(_: Standing) -> str:
    return (
        "The PBX finds the registration too brief (423) and names no time that can be met: set expires to the least that "
        "the PBX allows."
    )


def _redirected(s: Standing) -> str:
    return f"The PBX sends us elsewhere ({s.reply or '3xx'}), which is not followed: set host to where the account really is."


def _server_error(s: Standing) -> str:
    return f"The PBX failed ({s.reply or '5xx'}): look into its log; it is tried again by itself."


def _overloaded(s: Standing) -> str:
    return (
        f"The PBX says that it is overloaded ({s.reply or '503'}): check its load and its limits; it is tried again when it asked "
        "to be."
    )


def _no_answer(s: Standing) -> str:
    if s.transport == "tls":
        return (
            f"{s.host} does not answer over TLS (408): check host and port, that SIP is served there and not HTTPS, and that its "
            f"certificate is valid for {s.domain} and trusted here."
        )
    if s.transport == "tcp":
        return f"{s.host} does not answer over TCP (408): check host and port, that SIP is served there, and the firewall."
    return f"{s.host} does not answer over UDP (408): check host and port, that the PBX runs, and that no firewall is in between."


def _not_sent(s: Standing) -> str:
    if s.transport == "tls":
        return (
            f"No TLS connection to {s.host}: check port and firewall, and that its certificate is valid for {s.domain} "
            "and signed by an authority that is trusted here."
        )
    if s.transport == "tcp":
        return (
            f"No TCP connection to {s.host}: check host, port and firewall, and that the PBX listens on TCP."
        )
    return f"Nothing can be sent to {s.host}: check this host's own network and routes."


def _not_listed(s: Standing) -> str:
    return (
        f"The PBX said yes but did not list our contact, so that {s.user} cannot be called: check its limit of contacts for "
        "the account, and proxies in between that rewrite contacts."
    )


def _foreign_realm(s: Standing) -> str:
    return (
        "The PBX asks for a password of another realm than before, which gets no answer: if the PBX was renamed, "
        f"`nightbell connection set {s.name} realm=` learns it anew, else check who answers at {s.host}."
    )


def _unsupported_digest(_: Standing) -> str:
    return "The PBX asks for a digest that is neither MD5 nor SHA-256 with qop=auth: allow one of them in its settings."


def _contacts_full(s: Standing) -> str:
    return (
        f"The PBX has no contact left for {s.user}: raise max_contacts there, sign the other phone off, or use "
        f"`nightbell connection set {s.name} strategy=single-contact`."
    )


def _suspected_ban(s: Standing) -> str:
    return (
        f"{s.host} has been silent since it refused us, so our address may be banned: look into its fail2ban or firewall, then "
        f"mend the credential."
    )


def _held_back(s: Standing) -> str:
    return (
        f"{s.host} has refused other connections of ours just now; new ones wait some minutes, so that it does not ban us: "
        "look for those that it refused (`nightbell alarms`), and mend or disable them; `nightbell connection retry` does not wait."
    )


def _unresolvable(s: Standing) -> str:
    return f"The name {s.host} has no address: check its spelling and the name server (DNS: NAPTR, SRV, A, AAAA)."


_ADVICE: dict[str, Callable[[Standing], str]] = {
    "wrong-password": _wrong_password,
    "forbidden": _forbidden,
    "unknown-account": _unknown_account,
    "too-brief": _too_brief,
    "redirected": _redirected,
    "server-error": _server_error,
    "overloaded": _overloaded,
    "no-answer": _no_answer,
    "not-sent": _not_sent,
    "not-listed": _not_listed,
    "foreign-realm": _foreign_realm,
    "unsupported-digest": _unsupported_digest,
    "contacts-full": _contacts_full,
    "suspected-ban": _suspected_ban,
    "held-back": _held_back,
    UNRESOLVABLE: _unresolvable,
}
