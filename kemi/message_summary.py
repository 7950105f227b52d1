"""What a PBX says of a mailbox (RFC 3842, application/simple-message-summary). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kemi import wire

CONTENT_TYPE = "application/simple-message-summary"
EVENT = "message-summary"

_WAITING = re.compile(r"^Messages-Waiting[ \t]*:[ \t]*(yes|no)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_VOICE = re.compile(
    r"^Voice-Message[ \t]*:[ \t]*(\d{1,6})[ \t]*/[ \t]*(\d{1,6})", re.IGNORECASE | re.MULTILINE
)
_NOTE = re.compile(r"(yes|no) (\d+)/(\d+)")


@dataclass(frozen=True)
class Summary:
    """Whether messages wait, and how many voice messages are new and old, as far as the PBX counts them."""

    waiting: bool
    new: int = 0
    old: int = 0

    @property
    def note(self) -> str:
        """The summary as one short text, for a hash table."""
        return wire.mailbox_note(self.waiting, self.new, self.old)

    @property
    def body(self) -> str:
        """The summary as a device reads it."""
        word, counts = self.note.split(" ")
        return f"Messages-Waiting: {word}\r\nVoice-Message: {counts} (0/0)\r\n"

    def is_news_after(self, before: Summary | None) -> bool:
        """Whether somebody has left a message since."""
        known = before.new if before is not None and before.waiting else 0
        return self.waiting and self.new > known


def read(body: str) -> Summary | None:
    """The summary in the body of a NOTIFY; None if it is none."""
    text = body.replace("\r\n", "\n")
    waiting, voice = _WAITING.search(text), _VOICE.search(text)
    if waiting is None:
        return None
    is_waiting = waiting[1].lower() == "yes"
    if voice is None:
        return Summary(is_waiting, int(is_waiting))
    return Summary(is_waiting, int(voice[1]), int(voice[2]))


def read_note(note: str) -> Summary | None:
    """The inverse of ``Summary.note``; None for anything else."""
    found = _NOTE.fullmatch(note)
    return Summary(found[1] == "yes", int(found[2]), int(found[3])) if found else None
