"""What a PBX has last said of a mailbox (RFC 3842), for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mailbox:
    """The mailbox of the connection of that name: ``at`` is UNIX time in seconds, when the PBX said so."""

    connection: str
    waiting: bool
    new: int
    old: int
    at: float

    @property
    def words(self) -> str:
        """How it stands."""
        if self.waiting and not self.new:
            return "messages are waiting"
        new = f"{self.new or 'no'} new voice message{'' if self.new == 1 else 's'}"
        return f"{new}, {self.old} old" if self.old else new
