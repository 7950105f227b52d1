"""The port every push provider stands behind: one folder here per provider, one object per process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from control.domain.push import PushNotice, PushToken, Verdict

Clock = Callable[[], float]
"""UNIX time in seconds, as ``time.time``; tests inject their own."""


class Provider(Protocol):
    """One push service. What ``push`` learns is in its verdict; it raises nothing but CancelledError."""

    @property
    def name(self) -> str:
        """The ``provider`` of the tokens it serves."""

    async def start(self) -> None:
        """Read keys and connect ahead: the first push shall be fast. A provider that is down is no error."""

    def lane(self, token: PushToken) -> str:
        """Which of its servers is asked for this token. Pushes to one lane may delay each other, and no others."""

    async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
        """Send one push, once, and wait for the answer until ``notice.deadline`` at the latest."""

    async def close(self) -> None:
        """Close connections; pushes under way end with a ``retry`` verdict."""
