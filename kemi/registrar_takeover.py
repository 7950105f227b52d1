"""Strategy ``single-contact``, for a PBX that keeps one contact an account: take the place over, and give it back. Pure.

When there is no room for our contact, the PBX is asked for its list (a REGISTER without Contact), what stands there is removed and
remembered, and we register. When the connection is disabled or removed, what was there is put back for the rest of its time.

Removing is done by ``Contact: *``, and what was put back is looked at: a PBX that takes every contact to be where the REGISTER
came from (Asterisk's ``rewrite_contact``) would else remove nothing, and have the other phone's calls sent to us.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kemi.registrar_reply import bare, remaining, split_contacts

AGAIN_S = 60.0  # not sooner: two clients that take over from each other would never end
_WORTH_S = 30.0  # what has less left is not put back


@dataclass
class Takeover:
    """How far it has come. ``others`` are (contact, UNIX time of its end) that stood there before us."""

    began: float
    step: Literal["query", "evict", "hold", "restore", "withdraw"] = "query"
    others: list[tuple[str, float]] = field(default_factory=list)
    mangled: list[str] = field(default_factory=list)  # what the PBX made of those we put back

    def accepted(self, contacts: str, connection: str, leaving: bool, now: float) -> bool:
        """A REGISTER was accepted; True when the takeover has another one to send at once."""
        if self.step == "query":
            found = [c for c in split_contacts(contacts) if f"sip:{connection}@" not in c]
            self.others = [(bare(c), now + remaining(c)) for c in found] or self.others
            self.step = "evict" if found else "hold"
            return True
        if self.step == "evict":
            self.step = "hold"
            return True
        if self.step == "hold" and leaving and any(end - now > _WORTH_S for _, end in self.others):
            self.step = "restore"
            return True
        if self.step == "restore":
            known = {contact for contact, _ in self.others}
            self.mangled = [c for c in map(bare, split_contacts(contacts)) if c not in known]
            self.step = "withdraw" if self.mangled else "hold"
            return bool(self.mangled)
        if self.step == "withdraw":
            self.step = "hold"
        return False

    def lines(self, now: float) -> list[str] | None:
        """The Contact lines of the next REGISTER; None when it is an ordinary one."""
        if self.step == "query":
            return []
        if self.step == "evict":
            return ["Contact: *", "Expires: 0"]
        if self.step == "restore":
            return [
                f"Contact: {c};expires={int(end - now)}" for c, end in self.others if end - now > _WORTH_S
            ]
        if self.step == "withdraw":
            return [f"Contact: {contact};expires=0" for contact in self.mangled]
        return None
