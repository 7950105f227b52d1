"""Reminds devices by push of a binding that is about to run out: those that have said that they refresh it by themselves."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from control.domain.push import Purpose, PushNotice, PushToken, Verdict
from control.domain.reminder import Reminder
from control.edge.recorder import ReminderOver, ReminderWanted
from control.edge.tokens import TokenBook
from kemi.wire import RegisterEvent

LOOK_S = 1.0
AT_ONCE = 50  # reminders a look: after a long stop of the agent many may be due


class Reminders:
    """The reminders of all devices. ``remember`` writes them down, so that a restart loses none.

    ``learn`` is as the waker's; ``now`` is UNIX time in seconds. ``counters`` counts ``reminded`` and each outcome.
    """

    def __init__(
        self,
        *,
        tokens: TokenBook,
        dispatch: Callable[[PushToken, PushNotice], Awaitable[Verdict]],
        remember: Callable[[ReminderWanted | ReminderOver], None],
        learn: Callable[[str, PushToken, Verdict], None],
        now: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._dispatch = dispatch
        self._remember = remember
        self._learn = learn
        self._now = now
        self._wanted: dict[str, Reminder] = {}
        self._queue: list[tuple[float, str]] = []
        self._pushes: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    def load(self, stored: Iterable[Reminder]) -> None:
        """Go on with what was written down; what has been heard of since is newer."""
        for reminder in stored:
            if reminder.device not in self._wanted:
                self._put(reminder)

    def register(self, event: RegisterEvent) -> None:
        """A device has registered, or has left."""
        if event.action in ("added", "refreshed") and event.refresh_before:
            reminder = Reminder.after_register(event.device, event.ts, event.granted, event.refresh_before)
            self._put(reminder)
            self._remember(ReminderWanted(reminder))
        elif event.action in ("added", "refreshed", "removed") and event.device in self._wanted:
            del self._wanted[event.device]
            self._remember(ReminderOver(event.device))

    async def run(self) -> None:
        """Remind for ever."""
        try:
            while True:
                self.look()
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._pushes:
                task.cancel()

    def look(self) -> None:
        """Remind those that are due."""
        now = self._now()
        for _ in range(AT_ONCE):
            if not self._queue or self._queue[0][0] > now:
                break
            due, device = heapq.heappop(self._queue)
            reminder = self._wanted.get(device)
            if reminder is not None and reminder.due == due:  # else it has registered since
                self._remind(reminder, now)

    def _remind(self, reminder: Reminder, now: float) -> None:
        tokens = self._tokens.of(reminder.device, Purpose.REFRESH)
        following = reminder.after_push(now) if tokens else None
        if following is None:
            del self._wanted[reminder.device]
            self._remember(ReminderOver(reminder.device))
        else:
            self._put(following)
        if now >= reminder.ends or not tokens:
            return
        self.counters["reminded"] += 1
        notice = PushNotice("", f"refresh-{reminder.ends:.0f}", reminder.ends, purpose=Purpose.REFRESH)
        for token in tokens:
            task = asyncio.create_task(self._push(reminder.device, token, notice), name="refresh")
            self._pushes.add(task)
            task.add_done_callback(self._pushes.discard)

    async def _push(self, device: str, token: PushToken, notice: PushNotice) -> None:
        verdict = await self._dispatch(token, notice)
        self.counters[verdict.outcome.value] += 1
        self._learn(device, token, verdict)

    def _put(self, reminder: Reminder) -> None:
        self._wanted[reminder.device] = reminder
        heapq.heappush(self._queue, (reminder.due, reminder.device))
