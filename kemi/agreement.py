"""What the two ends of a call have last agreed upon (RFC 3264), kept while the call lasts: a refused offer changes nothing.

rtpengine takes an offer for agreed from the moment it hears of it, and knows no way back; so it is told again of what holds.
"""

from __future__ import annotations

from typing import NamedTuple

from kemi import ksr, wire

_OPEN = "offers"  # our reference of the call -> an offer in a reply: its answer comes in another transaction
_END = "\x1e"
_LONGEST = 16384  # characters: nobody may fill our memory


class Description(NamedTuple):
    """One side's description as rtpengine was given it: the tag of who sent it, and the flags that say whose RTP counts."""

    tag: str
    sources: str
    text: str

    def __str__(self) -> str:
        """As ``read`` understands it."""
        return _END.join(self)


def read(text: str) -> tuple[Description, ...]:
    """The descriptions in a text, none when it is not one of ours."""
    parts = text.split(_END)
    if len(parts) % 3:
        return ()
    return tuple(Description(*parts[at : at + 3]) for at in range(0, len(parts), 3))


def keep(call: str, offer: str, answer: Description) -> None:
    """Remember what has been agreed upon in a call, in place of what was before; ``offer`` is a description as text."""
    _keep(wire.TABLE_AGREED, call, f"{offer}{_END}{answer}")


def of_call(call: str) -> tuple[Description, Description] | None:
    """The offer and the answer that hold in a call, None when they are not known: Kamailio was restarted since."""
    found = read(ksr.table_get(wire.TABLE_AGREED, call))
    return (found[0], found[1]) if len(found) == 2 else None


def forget(call: str) -> None:
    """The call is over."""
    ksr.table_remove(wire.TABLE_AGREED, call)


def keep_open(call: str, offer: Description) -> None:
    """Remember an offer until its answer comes."""
    _keep(_OPEN, call, str(offer))


def open_offer(call: str) -> str:
    """The offer that waits for its answer, as text, ``""`` when there is none."""
    return ksr.table_get(_OPEN, call)


def close(call: str) -> None:
    """The open offer has its answer."""
    ksr.table_remove(_OPEN, call)


def _keep(table: str, call: str, text: str) -> None:
    if len(text) > _LONGEST or not ksr.table_put(table, call, text):
        ksr.table_remove(table, call)  # better not to know than to know what holds no more
