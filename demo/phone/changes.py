"""Waiting for a condition over the phone's state, without polling: whoever changes the state says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from demo.phone.errors import StillWaitingError


class Changes:
    """Wakes everybody who waits for something to become true, each time something has changed."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Something changed: every waiter looks at its condition again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Return as soon as ``condition()`` holds; raise StillWaitingError naming ``what`` after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    await self._change()
        except TimeoutError:
            raise StillWaitingError(f"{what}: not within {timeout:g} s") from None

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
