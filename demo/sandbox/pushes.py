"""What the sandbox has received: one ``Push`` a request, and the log that keeps the latest of them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

KEPT = 100_000
DROPPED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Push:
    """One push request as the provider saw it.

    ``received_at`` is the UNIX time in seconds at which the last byte of the request was here (END_STREAM for
    HTTP/2). ``expires_at`` is UNIX seconds, 0 for "now or never". ``status`` is the HTTP status that answers
    it, 0 when a fault leaves it without one; ``reason`` is the provider's error, the fault's name, or empty.
    ``payload`` is what the app gets: the JSON body for APNs, ``message.data`` for FCM, the decrypted JSON for Web Push;
    ``message`` is the whole JSON of the request. A push replaces one that still waits with the same ``collapse``.
    """

    number: int
    provider: str
    token: str
    topic: str
    provider_id: str
    received_at: float
    expires_at: float
    priority: str
    push_type: str
    status: int
    reason: str
    connection: int
    payload: dict[str, Any] = field(default_factory=dict)
    message: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    collapse: str = ""

    def as_json(self) -> dict[str, Any]:
        """The push as JSON-ready data, without the headers: they hold the sender's authorization."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "headers"}


class PushLog:
    """The pushes received, oldest first; the oldest are dropped in bulk beyond ``KEPT``."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self._count = 0
        self._awaited: list[tuple[Callable[[Push], bool], asyncio.Future[Push]]] = []

    def next_number(self) -> int:
        """The number of the next push, counted from 1 since the sandbox was made."""
        self._count += 1
        return self._count

    def add(self, push: Push) -> None:
        """Keep a push."""
        self.pushes.append(push)
        if len(self.pushes) > KEPT:
            del self.pushes[:DROPPED_AT_ONCE]
        for wanted, future in self._awaited:
            if not future.done() and wanted(push):
                future.set_result(push)

    async def wait(self, wanted: Callable[[Push], bool], within: float) -> Push:
        """The first push, past or future, that ``wanted`` holds for; TimeoutError after ``within`` seconds."""
        for push in self.pushes:
            if wanted(push):
                return push
        entry = (wanted, asyncio.get_running_loop().create_future())
        self._awaited.append(entry)
        try:
            return await asyncio.wait_for(entry[1], within)
        finally:
            self._awaited.remove(entry)

    def select(self, token: str = "", since: int = 0) -> Iterator[Push]:
        """The pushes with a number above ``since``, of one token or of all."""
        return (p for p in self.pushes if p.number > since and (not token or p.token == token))
