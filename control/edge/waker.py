"""Carries out the plan of each held call: acknowledges it, pushes, orders ringing or the end from Kamailio."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from control.domain.journal import Step
from control.domain.push import Outcome, Purpose, PushNotice, PushToken, Verdict
from control.edge import wake_plan
from control.edge.rpc import Orders
from control.edge.tokens import TokenBook
from control.edge.wake_plan import WakePlan
from kemi.wire import TABLE_ACKED, CallEvent, RegisterEvent, WakeEndEvent, WakeEvent

log = structlog.get_logger(__name__)

REMEMBER_S = 10.0  # after a wake's deadline: a copy of it that was under way is still known as a copy
OVERTAKEN_S = 2.0  # how far a device's own word may be ahead of the news that its call is held
CLEAR_AFTER_S = 0.5  # after the end of a wake: by then it is known which device answered
CLEAR_S = 5.0  # how long a provider may take to be told that a call is over, at least
VERDICT_GRACE_S = 1.0  # how long a provider may still answer once the device has come by itself

# Final answers of a device that are no decision of its user: of a branch cancelled, and of a second INVITE to a phone that
# has the first (RFC 3261 §8.2.2.2).
_NO_REFUSALS = (482, 487)

Dispatch = Callable[[PushToken, PushNotice], Awaitable[Verdict]]

_FAILURES = {
    Outcome.TOKEN_DEAD: wake_plan.TOKEN_DEAD,
    Outcome.REJECTED: wake_plan.PUSH_REFUSED,
    Outcome.MISCONFIGURED: wake_plan.MISCONFIGURED,
    Outcome.RETRY: wake_plan.UNAVAILABLE,
}


@dataclass(slots=True, eq=False)
class _Wake:
    event: WakeEvent
    plan: WakePlan
    pushes: dict[str, set[asyncio.Task[None]]] = field(default_factory=dict)
    pushed_at: dict[str, float] = field(default_factory=dict)
    shown: dict[str, list[PushToken]] = field(default_factory=dict)  # whose provider has, or may have, a push
    ended: bool = False
    told_end: bool = False  # the journal has how the waiting ended


class Waker:
    """All held calls of this edge, by wake id. Nothing here waits for a database.

    ``boot`` names this incarnation of the agent; ``dropped`` is told of each dead token once: device, token,
    number of the change, and when the provider knew of it. ``now`` is UNIX time in seconds. ``counters`` counts
    ``wakes``, ``pushes``, ``ringing``, ``gave-up``, ``late``, ``cleared`` and each outcome.
    """

    def __init__(
        self,
        *,
        boot: str,
        orders: Orders,
        tokens: TokenBook,
        dispatch: Dispatch,
        note: Callable[[Step], None],
        dropped: Callable[[str, PushToken, int, float | None], None],
        now: Callable[[], float],
    ) -> None:
        self._boot = boot
        self._orders = orders
        self._tokens = tokens
        self._dispatch = dispatch
        self._note = note
        self._dropped = dropped
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._wakes: dict[str, _Wake] = {}
        self._by_call: dict[str, list[_Wake]] = {}
        self._seen: dict[str, dict[str, wake_plan.State]] = {}  # by call: devices heard of before their wake
        self._ended: set[str] = set()  # wakes whose end arrived and that are not in _wakes
        self.counters: Counter[str] = Counter()

    # ---------------------------------------------------------------------------------------- events

    def wake(self, event: WakeEvent) -> None:
        """Take charge of a held call; a copy of a known one is only acknowledged again."""
        self._orders.order("htable.sets", TABLE_ACKED, event.id, self._boot)
        if event.id in self._wakes or event.id in self._ended:
            return
        self.counters["wakes"] += 1
        now = self._now()
        plan, commands = WakePlan.begin(
            asleep=event.asleep,
            ringing=event.ringing,
            pushable=self._pushable,
            deadline=event.deadline,
            early_ringing=event.early_ringing,
            now=now,
            seen=self._seen.pop(event.call, None),
        )
        if plan.over and not commands:
            self.counters["late"] += 1
        wake = _Wake(event, plan)
        self._wakes[event.id] = wake
        self._by_call.setdefault(event.call, []).append(wake)
        self._loop.call_later(max(0.0, event.deadline - now) + REMEMBER_S, self._forget, wake)
        self._carry_out(wake, commands)

    def wake_end(self, event: WakeEndEvent) -> None:
        """The call is not held any more: no push may leave from now on."""
        wake = self._wakes.get(event.id)
        if wake is None:
            # Told to an earlier incarnation, or the end has overtaken the beginning.
            if event.id not in self._ended:
                self._ended.add(event.id)
                self._loop.call_later(REMEMBER_S, self._ended.discard, event.id)
                self._note_end(event, useful=True)
            return
        waited = any(s is not wake_plan.State.AWAKE for s in wake.plan.states.values())
        plan, commands = wake.plan.ended()
        self._advance(wake, plan, commands)
        if not wake.ended:
            wake.ended = True
            self._loop.call_later(CLEAR_AFTER_S, self._clear, wake)
        if not wake.told_end:
            wake.told_end = True
            self._note_end(event, useful=waited)

    def call(self, event: CallEvent) -> None:
        """A device's own ringing, answer or refusal shows that it is awake."""
        if not event.device:
            return
        if event.step in ("ringing", "answered"):
            self._see(event.call, event.device, wake_plan.State.AWAKE)
            for wake in self._by_call.get(event.call, ()):
                if event.step == "answered":
                    self._advance(wake, *wake.plan.taken(event.device))
                else:
                    self._advance(wake, *wake.plan.awake(event.device, ringing=True))
        elif event.step == "device-refused" and event.code not in _NO_REFUSALS:
            self._see(event.call, event.device, wake_plan.State.REFUSED)
            for wake in self._by_call.get(event.call, ()):
                self._advance(wake, *wake.plan.refused(event.device))

    def register(self, event: RegisterEvent) -> None:
        """A device registered and was joined to the calls that waited for it."""
        for call in dict.fromkeys(event.calls):
            self._see(call, event.device, wake_plan.State.AWAKE)
            reason = ""
            for wake in self._by_call.get(call, ()):
                pushed_at = wake.pushed_at.get(event.device)
                if pushed_at is not None:
                    reason = f"{max(0.0, event.ts - pushed_at) * 1000:.0f} ms after the push"
                self._advance(wake, *wake.plan.awake(event.device))
            self._note(Step(call, event.ts, "register", device=event.device, code=event.reply, reason=reason))

    def _see(self, call: str, device: str, state: wake_plan.State) -> None:
        """Kamailio's processes report side by side: what a device says may be here before the news of its wake."""
        if call in self._by_call:
            return
        if call not in self._seen:
            self._seen[call] = {}
            self._loop.call_later(OVERTAKEN_S, self._seen.pop, call, None)
        if self._seen[call].get(device) is not wake_plan.State.REFUSED:
            self._seen[call][device] = state

    async def close(self) -> None:
        """Stop all pushes. Kamailio tells the next incarnation of every call that is still held."""
        tasks = [task for wake in self._wakes.values() for push in wake.pushes.values() for task in push]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -------------------------------------------------------------------------------------- commands

    def _advance(self, wake: _Wake, plan: WakePlan, commands: list[wake_plan.Command]) -> None:
        wake.plan = plan
        self._carry_out(wake, commands)

    def _carry_out(self, wake: _Wake, commands: list[wake_plan.Command]) -> None:
        for command in commands:
            match command:
                case wake_plan.Push(device):
                    self._push(wake, device)
                case wake_plan.Ring():
                    self.counters["ringing"] += 1
                    self._reply(wake, 180, "Ringing")
                case wake_plan.GiveUp(reason):
                    self.counters["gave-up"] += 1
                    self._reply(wake, 599, reason)
                    wake.told_end = True
                    if reason != wake_plan.ALL_REFUSED:  # the journal has the refusals themselves
                        self._note(Step(wake.event.call, self._now(), "gave-up", reason=reason))
                case wake_plan.Listen(device, seconds):
                    self._loop.call_later(seconds, self._unheard, wake, device)
                case wake_plan.CancelPush(device, at_once):
                    self._cancel(wake, device, at_once=at_once)
                case wake_plan.Unreachable(device, reason):
                    self._note(
                        Step(wake.event.call, self._now(), "push-refused", device=device, reason=reason)
                    )

    def _reply(self, wake: _Wake, code: int, reason: str) -> None:
        tag = hashlib.blake2s(wake.event.id.encode(), digest_size=8).hexdigest()
        self._orders.order("tm.reply", code, reason, wake.event.transaction, tag, ".", ".")

    def _push(self, wake: _Wake, device: str) -> None:
        event = wake.event
        notice = PushNotice(event.call, event.id, event.deadline)
        wake.pushed_at.setdefault(device, self._now())
        tasks = wake.pushes.setdefault(device, set())
        for token in self._tokens.of(device, Purpose.CALL):
            self.counters["pushes"] += 1
            self._note_push(wake, "push-sent", device, token)
            tasks.add(
                asyncio.create_task(self._push_one(wake, device, token, notice), name=f"push-{event.id}")
            )

    async def _push_one(self, wake: _Wake, device: str, token: PushToken, notice: PushNotice) -> None:
        task = asyncio.current_task()
        try:
            verdict = await self._dispatch(token, notice)
        except asyncio.CancelledError:
            wake.shown.setdefault(device, []).append(token)
            reason = f"{token.provider}: called off before it was answered"
            self._note_push(wake, "push-refused", device, token, 0, reason)
            raise
        self.counters[verdict.outcome.value] += 1
        tasks = wake.pushes[device]
        tasks.discard(task)
        delivered = verdict.outcome is Outcome.DELIVERED
        self._note_push(
            wake, "push-accepted" if delivered else "push-refused", device, token, *_answer(token, verdict)
        )
        if delivered:
            wake.shown.setdefault(device, []).append(token)
            self._advance(wake, *wake.plan.accepted(device))
            return
        self._drop_if_dead(device, token, verdict)
        if not tasks:
            self._advance(wake, *wake.plan.failed(device, _FAILURES[verdict.outcome]))

    def _clear(self, wake: _Wake) -> None:
        """Tell the apps that may show a call, and cannot know it from SIP, that it is over (P5)."""
        event, now = wake.event, self._now()
        # Not before the push for the call itself would be dropped: it is to take its place.
        deadline = max(event.deadline, now + CLEAR_S)
        notice = PushNotice(event.call, event.id, deadline, purpose=Purpose.OVER)
        for device in wake.plan.still_showing():
            for token in wake.shown.get(device, ()):
                if token.clears:
                    self.counters["cleared"] += 1
                    telling = self._tell_over(wake, device, token, notice)
                    wake.pushes[device].add(asyncio.create_task(telling, name=f"clear-{event.id}"))

    async def _tell_over(self, wake: _Wake, device: str, token: PushToken, notice: PushNotice) -> None:
        verdict = await self._dispatch(token, notice)
        self._note_push(wake, "clear-sent", device, token, *_answer(token, verdict))
        self._drop_if_dead(device, token, verdict)

    def _drop_if_dead(self, device: str, token: PushToken, verdict: Verdict) -> None:
        if verdict.outcome is Outcome.TOKEN_DEAD:
            change = self._tokens.drop(device, token, verdict.unregistered_at)
            if change:
                self._dropped(device, token, change, verdict.unregistered_at)

    def _unheard(self, wake: _Wake, device: str) -> None:
        pushable = self._pushable(device)
        self._advance(wake, *wake.plan.unheard(device, pushable=pushable, now=self._now()))

    def _cancel(self, wake: _Wake, device: str, *, at_once: bool) -> None:
        for task in wake.pushes.get(device, ()):
            if at_once:
                task.cancel()
            else:
                self._loop.call_later(VERDICT_GRACE_S, task.cancel)

    # --------------------------------------------------------------------------------------- the rest

    def _pushable(self, device: str) -> bool:
        return bool(self._tokens.of(device, Purpose.CALL))

    def _note_push(
        self, wake: _Wake, step: str, device: str, token: PushToken, code: int = 0, reason: str = ""
    ) -> None:
        at, provider = self._now(), token.provider
        self._note(
            Step(wake.event.call, at, step, device=device, provider=provider, code=code, reason=reason)
        )

    def _note_end(self, event: WakeEndEvent, *, useful: bool) -> None:
        step = {"deadline": "wake-deadline", "given-up": "gave-up", "cancelled": "wake-cancelled"}.get(
            event.outcome
        )
        if event.outcome == "answered" and useful:
            step = "wake-cancelled"
        if step is not None:
            self._note(Step(event.call, event.ts, step, reason=event.reason or event.outcome))

    def _forget(self, wake: _Wake) -> None:
        self._wakes.pop(wake.event.id, None)
        others = [w for w in self._by_call.pop(wake.event.call, ()) if w is not wake]
        if others:
            self._by_call[wake.event.call] = others


def _answer(token: PushToken, verdict: Verdict) -> tuple[int, str]:
    """What the journal has of a verdict: the status, and the provider with its id for the push, or its reason."""
    word = verdict.provider_id if verdict.outcome is Outcome.DELIVERED else verdict.reason
    return verdict.status, f"{token.provider} {word}".rstrip()
