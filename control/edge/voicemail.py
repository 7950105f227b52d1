"""Pushes to sleeping devices whose people want to hear of new voice messages: an alert, never a call, and only once."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable

import structlog

from control.domain.push import Purpose, PushNotice, PushToken, Verdict
from control.edge.tokens import TokenBook
from control.edge.waker import Dispatch
from kemi.wire import VoicemailEvent

log = structlog.get_logger(__name__)

GOOD_FOR_S = 3600.0  # an alert that a phone gets later than that is no news any more


class VoicemailPusher:
    """``learn`` is as the waker's; ``now`` is UNIX time in seconds. ``counters`` counts each outcome."""

    def __init__(
        self,
        *,
        tokens: TokenBook,
        dispatch: Dispatch,
        learn: Callable[[str, PushToken, Verdict], None],
        now: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._dispatch = dispatch
        self._learn = learn
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    def waiting(self, event: VoicemailEvent) -> None:
        """Somebody has left a message for these devices' people."""
        for device in dict.fromkeys(event.asleep):
            notice = PushNotice(
                secrets.token_hex(8),
                f"voicemail-{secrets.token_hex(8)}",
                self._now() + GOOD_FOR_S,
                purpose=Purpose.VOICEMAIL,
            )
            for token in self._tokens.of(device, Purpose.VOICEMAIL):
                task = asyncio.create_task(self._push(device, token, notice), name="voicemail")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _push(self, device: str, token: PushToken, notice: PushNotice) -> None:
        verdict = await self._dispatch(token, notice)
        self.counters[verdict.outcome.value] += 1
        log.info("voicemail-pushed", device=device, provider=token.provider, outcome=verdict.outcome.value)
        self._learn(device, token, verdict)
