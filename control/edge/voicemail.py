"""Pushes to sleeping devices whose people want to hear of new voice messages: an alert, never a call, and only once."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable

from control.domain.push import Outcome, Purpose, PushNotice, PushToken, Verdict
from control.edge.recorder import VoicemailTold
from control.edge.tokens import TokenBook
from control.edge.wake_limits import WakeLimits
from control.edge.waker import Dispatch
from kemi.wire import VoicemailEvent

GOOD_FOR_S = 3600.0  # an alert that a phone gets later than that is no news any more


class VoicemailPusher:
    """``learn`` is as the waker's; ``remember`` is told what came of it for each device; ``limits`` count mailboxes' news (W13).

    ``now`` is UNIX time in seconds. ``counters`` counts ``withheld`` and each outcome.
    """

    def __init__(
        self,
        *,
        tokens: TokenBook,
        dispatch: Dispatch,
        learn: Callable[[str, PushToken, Verdict], None],
        remember: Callable[[VoicemailTold], None],
        limits: WakeLimits,
        now: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._dispatch = dispatch
        self._learn = learn
        self._remember = remember
        self._limits = limits
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    def waiting(self, event: VoicemailEvent) -> None:
        """Somebody has left a message for these devices' people."""
        tellable = [d for d in dict.fromkeys(event.asleep) if self._tokens.of(d, Purpose.VOICEMAIL)]
        if not tellable:
            return
        refusal = self._limits.refusal(event.connection, self._now())
        for device in tellable:
            if refusal:
                self.counters["withheld"] += 1
                self._remember(VoicemailTold(device, self._now(), "voicemail-withheld", reason=refusal))
                continue
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
        taken = verdict.outcome is Outcome.DELIVERED
        done = "voicemail-pushed" if taken else "voicemail-refused"
        # Without the provider's id for the push: equal news make one row of the register log.
        reason = token.provider if taken else f"{token.provider} {verdict.reason}".rstrip()
        self._remember(VoicemailTold(device, self._now(), done, verdict.status, reason))
        self._learn(device, token, verdict)
