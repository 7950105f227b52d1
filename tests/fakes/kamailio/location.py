"""Bindings: module registrar over a location table in memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fakes.kamailio.context import Context, Target
from tests.fakes.kamailio.sip import NameAddr, Uri, split_list

if TYPE_CHECKING:
    from tests.fakes.kamailio.core import FakeKamailio

_NO_REPLY, _ONE_CONTACT = 2, 4
_MINIMUM, _MAXIMUM, _DEFAULT = 30, 7200, 600


@dataclass
class Binding:
    """One contact of one address of record; ``expires_at`` on the fake's clock, in seconds."""

    contact: str
    ruid: str
    expires_at: float
    received: str = ""
    callid: str = ""
    cseq: int = 0

    @property
    def target(self) -> Target:
        return Target(self.contact, self.received, self.ruid)


class Registrar:
    """Module registrar. Keys are AoRs as URIs (``use_domain``)."""

    def __init__(self, kamailio: FakeKamailio) -> None:
        self._kamailio = kamailio
        self._bindings: dict[str, list[Binding]] = {}
        self._numbers = itertools.count(1)
        self._fetched: dict[str, list[Binding]] = {}
        self._expiring = ""

    def bindings(self, uri: str) -> list[Binding]:
        """The live bindings of an AoR."""
        return [b for b in self._bindings.get(uri, []) if b.expires_at > self._kamailio.now]

    def bind(self, uri: str, contact: str, expires: float = 600, received: str = "") -> Binding:
        """For tests: an additional binding, as if it had been registered."""
        binding = Binding(contact, self._ruid(), self._kamailio.now + expires, received)
        self._bindings.setdefault(uri, []).append(binding)
        return binding

    def expire(self) -> list[tuple[str, Binding]]:
        """Take out the bindings whose time is over, with their AoRs."""
        gone = []
        for uri, kept in self._bindings.items():
            gone += [(uri, b) for b in kept if b.expires_at <= self._kamailio.now]
            self._bindings[uri] = [b for b in kept if b.expires_at > self._kamailio.now]
        return gone

    def lose(self, received: str) -> None:
        """For tests: the connection with that flow is gone, and its bindings with it (``handle_lost_tcp``)."""
        for kept in self._bindings.values():
            for binding in kept:
                if binding.received == received:
                    binding.expires_at = self._kamailio.now

    def expiring(self, uri: str, binding: Binding) -> None:
        """What the event route of an ended binding sees as profile ``exp``."""
        self._fetched["exp"] = [binding]
        self._expiring = uri.removeprefix("sip:")

    def _ruid(self) -> str:
        return f"uloc-fake-{next(self._numbers):x}"

    def fetched(self, profile: str) -> list[Binding]:
        """What reg_fetch_contacts put into a profile."""
        return self._fetched.get(profile, [])

    def aor_of(self, profile: str) -> str | None:
        """The AoR a profile is about, without its scheme; only that of an ended binding is modelled."""
        return self._expiring if profile == "exp" and self._fetched.get("exp") else None

    # -- the interface of the module

    def save_uri(self, table: str, flags: int, uri: str) -> int:
        context = self._kamailio.context
        contacts = [c for body in context.message.all("Contact") for c in split_list(body)]
        answered = bool(flags & _NO_REPLY)
        if not contacts:
            self._answer(uri, answered)
            return 4
        asked = context.message.get("Expires")
        if contacts == ["*"]:
            if asked != "0":
                return self._refuse()
            self._bindings.pop(uri, None)
            self._answer(uri, answered)
            return 3
        parsed = [NameAddr.parse(contact) for contact in contacts]
        if any(Uri.parse(contact.uri) is None for contact in parsed):
            return self._refuse()
        if flags & _ONE_CONTACT:
            # "One" is one REGISTER's: several contacts in the same request are all kept.
            uris = {contact.uri for contact in parsed}
            self._bindings[uri] = [b for b in self.bindings(uri) if b.contact in uris]
        results = [self._store(uri, contact, asked, context) for contact in parsed]
        self._answer(uri, answered)
        return min(results)

    def _store(self, uri: str, contact: NameAddr, asked: str, context: Context) -> int:
        seconds = _granted(contact.parameter("expires") or asked)
        before = self.bindings(uri)
        same = next((b for b in before if b.contact == contact.uri), None)
        others = [b for b in before if b is not same]
        if seconds == 0:
            self._bindings[uri] = others
            return 3
        until = self._kamailio.now + seconds
        received = context.avps.get("RECEIVED", "")
        ruid = same.ruid if same else self._ruid()
        self._bindings[uri] = [*others, Binding(contact.uri, ruid, until, received, *_register(context))]
        return 2 if same else 1

    def _refuse(self) -> int:
        self._kamailio.error = (400, "Bad Request")
        return -1

    def _answer(self, uri: str, answered: bool) -> None:
        if answered:
            return
        lines = [
            f"Contact: <{b.contact}>;expires={int(b.expires_at - self._kamailio.now)}"
            for b in self.bindings(uri)
        ]
        self._kamailio.context.reply_headers += lines
        self._kamailio.sl.send_reply(200, "OK")

    def unregister(self, table: str, uri: str) -> int:
        return 1 if self._bindings.pop(uri, None) else -1

    def registered_uri(self, table: str, uri: str) -> int:
        return 1 if self.bindings(uri) else -1

    def lookup_uri(self, table: str, uri: str) -> int:
        found = self.bindings(uri)
        if not found:
            return -1
        context = self._kamailio.context
        context.target = found[-1].target
        context.more_targets += [b.target for b in found[:-1]]
        return 1

    def lookup_to_dset(self, table: str, uri: str) -> int:
        found = self.bindings(uri)
        self._kamailio.context.more_targets += [b.target for b in found]
        return 1 if found else -1

    def reg_fetch_contacts(self, table: str, uri: str, profile: str) -> int:
        found = self.bindings(uri)
        if not found:
            return -1
        self._fetched[profile] = found
        return 1

    def reg_free_contacts(self, profile: str) -> int:
        self._fetched.pop(profile, None)
        return 1


def _register(context: Context) -> tuple[str, int]:
    """Call-ID and CSeq of the REGISTER at hand."""
    message = context.message
    return message.get("Call-ID"), int(message.get("CSeq").split(" ")[0])


def _granted(asked: str) -> int:
    try:
        seconds = int(asked) if asked.isascii() else _DEFAULT
    except ValueError:
        seconds = _DEFAULT
    return 0 if seconds == 0 else max(_MINIMUM, min(_MAXIMUM, seconds))
