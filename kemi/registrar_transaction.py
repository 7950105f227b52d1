"""REGISTERs under way: sent again while nothing is heard, and given up (RFC 3261, 17.1.2, in our hands). Pure: the time comes in.

Kamailio's own transactions would do the same at ten times the cost: several kilobytes of shared memory each, for five seconds after
the reply, and a parser's work for a message that we have just written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

GIVEN_UP_S = 5.0
_AGAIN_S = (0.5, 1.0, 2.0)  # timer E: pauses between two copies, over UDP


class Register(NamedTuple):
    """A REGISTER as it left.

    ``cseq`` tells it from every other one of its account; ``reliable``: its transport sees to its arrival.
    """

    account: str
    cseq: int
    hop: str
    socket: str
    reliable: bool
    text: str


_Line = deque[tuple[float, Register]]


class UnderWay:
    """What may have to be done about each REGISTER that was sent, in lines by the length of the wait: no sorting."""

    def __init__(self) -> None:
        last = GIVEN_UP_S - sum(_AGAIN_S)
        self._copies: list[tuple[float, _Line]] = [(pause, deque()) for pause in (*_AGAIN_S, last)]
        self._once: _Line = deque()

    def sent(self, register: Register, now: float) -> None:
        """A REGISTER has left."""
        if register.reliable:
            self._once.append((now + GIVEN_UP_S, register))
        else:
            pause, line = self._copies[0]
            line.append((now + pause, register))

    def due(self, now: float, waits: Callable[[Register], bool]) -> tuple[list[Register], list[Register]]:
        """Those to be sent again, and those to be given up, of all that still wait for a final reply."""
        again: dict[str, Register] = {}  # by account, so that one copy leaves however late we look
        for (_, line), (pause, following) in zip(self._copies, self._copies[1:], strict=False):
            for at, register in _take(line, now, waits):
                following.append((at + pause, register))
                again[register.account] = register
        lost = [
            register for line in (self._once, self._copies[-1][1]) for _, register in _take(line, now, waits)
        ]
        for register in lost:
            again.pop(register.account, None)
        return list(again.values()), lost


def _take(line: _Line, now: float, waits: Callable[[Register], bool]) -> list[tuple[float, Register]]:
    taken = []
    while line and line[0][0] <= now:
        entry = line.popleft()
        if waits(entry[1]):
            taken.append(entry)
    return taken
