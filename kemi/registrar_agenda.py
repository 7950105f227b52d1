"""Who is due when, for many who are due far from now. Pure."""

from __future__ import annotations

import heapq

NEVER = float("inf")
Entry = tuple[float, str]


class Agenda:
    """(due time in UNIX seconds, account) pairs: sorted within the second that has come, and only counted to one beyond it.

    With 100,000 accounts, one heap of them all costs more than a REGISTER's digest at each look.
    """

    __slots__ = ("_beyond", "_come", "_near", "_seconds")

    def __init__(self) -> None:
        self._near: list[Entry] = []
        self._beyond: dict[int, list[Entry]] = {}
        self._seconds: list[int] = []  # the keys of ``_beyond``, as a heap
        self._come = 0  # all seconds up to this one are in ``_near``

    def add(self, due: float, account: str) -> None:
        """Note somebody who is due."""
        second = int(due)
        if second <= self._come:
            heapq.heappush(self._near, (due, account))
        elif second in self._beyond:
            self._beyond[second].append((due, account))
        else:
            self._beyond[second] = [(due, account)]
            heapq.heappush(self._seconds, second)

    def add_all(self, entries: list[Entry]) -> None:
        """Note many who are due now or were before."""
        self._near += entries
        heapq.heapify(self._near)

    def first(self) -> float:
        """When to look for somebody who is due: his time, or the beginning of the second he is due in; ``NEVER`` when nobody is."""
        if self._near:
            return self._near[0][0]
        return float(self._seconds[0]) if self._seconds else NEVER

    def take(self, now: float) -> Entry | None:
        """The first who is due by now, None when nobody is."""
        while self._seconds and self._seconds[0] <= now:
            self._come = heapq.heappop(self._seconds)
            self.add_all(self._beyond.pop(self._come))
        if self._near and self._near[0][0] <= now:
            return heapq.heappop(self._near)
        return None
