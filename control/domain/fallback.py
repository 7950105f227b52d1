"""Where a person's call goes when nobody wakes: to another device, to a number through a connection, or nowhere."""

from __future__ import annotations

from dataclasses import dataclass

from control.domain.connection import checked_trunk_number
from control.domain.errors import InvalidFieldError

DEVICE, NUMBER = "device", "number"
NONE = "none"


@dataclass(frozen=True)
class Fallback:
    """One person's choice. ``kind`` empty: none; ``target`` is a device id or a number; ``connection`` the id of the one that a
    number is called through."""

    kind: str = ""
    target: str = ""
    connection: str = ""

    def __str__(self) -> str:
        """The choice as it is written on the command line."""
        return f"{self.kind}:{self.target}" if self.kind else NONE


def parse(text: str) -> Fallback:
    """``none``, ``device:DEVICE`` or ``number:NUMBER``, still without a connection. Raises InvalidFieldError."""
    if text == NONE:
        return Fallback()
    kind, separator, target = text.partition(":")
    if not separator or not target or kind not in (DEVICE, NUMBER):
        raise InvalidFieldError(
            "fallback", f"{text[:80]!r} is not one of none, device:DEVICE and number:NUMBER"
        )
    if kind == NUMBER:
        checked_trunk_number(target)
    return Fallback(kind, target)
