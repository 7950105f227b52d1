"""Strategy ``single-contact``, for a PBX that keeps one contact an account: take the place over, and give it back. Pure.

When there is no room for our contact, the PBX is asked for its list (a REGISTER without Contact), what stands there is removed and
remembered, and we register. When the connection is disabled or removed, what was there is put back for the rest of its time.
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
    step: Literal["query", "evict", "hold", "restore"] = "query"
    others: list[tuple[str, float]] = field(default_factory=list)

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
        return False

    def lines(self, now: float) -> list[str] | None:
        """The Contact lines of the next REGISTER; None when it is an ordinary one."""
        if self.step == "query":
            return []
        if self.step == "evict":
            return [f"Contact: {contact};expires=0" for contact, _ in self.others]
        if self.step == "restore":
            return [
                f"Contact: {c};expires={int(end - now)}" for c, end in self.others if end - now > _WORTH_S
            ]
        return None
