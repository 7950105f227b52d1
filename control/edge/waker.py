"""Carries out the plan of each held call: acknowledges it, pushes, orders ringing or the end from Kamailio."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import structlog

from control.domain.journal import Step
from control.domain.push import Outcome, Purpose, PushNotice, PushToken, Verdict
from control.domain.wakes import DeviceWake
from control.edge import wake_plan
from control.edge.rpc import Orders
from control.edge.tokens import TokenBook
from control.edge.wake_limits import WakeLimits
from control.edge.wake_log import WakeLog
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
    attempts: dict[str, _Attempt] = field(default_factory=dict)  # by device
    allowed: bool = False  # it has been counted, and is within the limits
    ended: bool = False
    told_end: bool = False  # the journal has how the waiting ended


@dataclass(slots=True, eq=False)
class _Attempt:
    """The pushes to one device, for all the held calls that are one call to the caller: a PBX may send it along three ways."""

    event: WakeEvent  # the one that the push names
    wakes: list[_Wake] = field(default_factory=list)
    shown: list[PushToken] = field(default_factory=list)  # whose provider has, or may have, a push
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    accepted: bool = False
    failure: str = ""


class Waker:
    """All held calls of this edge, by wake id. Nothing here waits for a database.

    ``boot`` names this incarnation of the agent; ``learn`` is told of each verdict: device and
    token, too. ``record`` is told of each stage of each device's wake.
    ``caller_in_push``: whether the push says who calls (P6). ``now`` is UNIX time in seconds. ``counters`` counts
    ``wakes``, ``pushes``, ``withheld``, ``ringing``, ``gave-up``, ``late``, ``cleared`` and each outcome.
    """

    def __init__(
        self,
        *,
        boot: str,
        orders: Orders,
        tokens: TokenBook,
        dispatch: Dispatch,
        note: Callable[[Step], None],
        learn: Callable[[str, PushToken, Verdict], None],
        record: Callable[[DeviceWake], None],
        limits: WakeLimits,
        message_limits: WakeLimits,
        request_limits: WakeLimits,
        caller_in_push: bool,
        now: Callable[[], float],
    ) -> None:
        self._boot = boot
        self._orders = orders
        self._tokens = tokens
        self._dispatch = dispatch
        self._note = note
        self._learn = learn
        self._log = WakeLog(record)
        # Each has its own: a flood of messages must not cost anybody a call.
        self._limits = {
            Purpose.CALL: limits,
            Purpose.MESSAGE: message_limits,
            Purpose.REQUEST: request_limits,
        }
        self._caller_in_push = caller_in_push
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._wakes: dict[str, _Wake] = {}
        self._by_call: dict[str, list[_Wake]] = {}
        self._attempts: dict[tuple[str, str], _Attempt] = {}  # by the caller's call, and device
        self._seen: dict[str, dict[str, wake_plan.State]] = {}  # by call: devices heard of before their wake
        self._ended: set[str] = set()  # wakes whose end arrived and that are not in _wakes
        self.counters: Counter[str] = Counter()

    def resume(self, records: Iterable[DeviceWake]) -> None:
        """What an earlier incarnation has pushed for what is still held: nobody is to be pushed to twice."""
        kept = list(records)
        self._log.resume(kept)
        for record in kept:
            left = max(0.0, record.deadline - self._now()) + REMEMBER_S
            self._loop.call_later(left, self._log.forget, record.wake)

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
            pushable=lambda device: self._pushable(event, device),
            deadline=event.deadline,
            early_ringing=event.early_ringing,
            now=now,
            seen=self._seen.pop(event.call, None),
            lacking=self._lacking(event),
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
        self._log.ended(event.id, at_deadline=event.outcome == "deadline")
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
            if _purpose(wake.event) is Purpose.CALL:  # a message is there to be read
                self._loop.call_later(CLEAR_AFTER_S, self._clear, wake)
        if not wake.told_end:
            wake.told_end = True
            self._note_end(event, useful=waited)

    def call(self, event: CallEvent) -> None:
        """A device's own ringing, answer or refusal shows that it is awake; so does that it has taken a message."""
        if not event.device:
            return
        if event.step in ("ringing", "answered", "delivered"):
            self._see(event.call, event.device, wake_plan.State.AWAKE)
            for wake in self._by_call.get(event.call, ()):
                self._log.spoke(wake.event.id, event.device)
                if event.step == "answered":
                    self._advance(wake, *wake.plan.taken(event.device))
                else:
                    self._advance(wake, *wake.plan.awake(event.device, ringing=True))
        elif event.step == "device-refused" and event.code not in _NO_REFUSALS:
            self._see(event.call, event.device, wake_plan.State.REFUSED)
            for wake in self._by_call.get(event.call, ()):
                self._log.spoke(wake.event.id, event.device)
                self._advance(wake, *wake.plan.refused(event.device))

    def register(self, event: RegisterEvent) -> None:
        """A device registered and was joined to the calls that waited for it."""
        if event.action in ("added", "refreshed"):
            self._log.registered(event.device, event.ts)
        for call in dict.fromkeys(event.calls):
            self._see(call, event.device, wake_plan.State.AWAKE)
            reason = ""
            for wake in self._by_call.get(call, ()):
                pushed_at = self._log.pushed_at(wake.event.id, event.device)
                if pushed_at:
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
        tasks = [task for attempt in self._attempts.values() for task in attempt.tasks]
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
        key = (wake.event.fork or wake.event.id, device)
        attempt = self._attempts.get(key)
        if attempt is not None and not all(each.plan.over for each in attempt.wakes):
            self._withhold(wake, device, "the same call has had its push")
        elif self._log.was_accepted(wake.event.id, device):
            attempt = _Attempt(wake.event, accepted=True)
            attempt.shown.extend(self._tokens.of(device, _purpose(wake.event)))
        elif refusal := "" if wake.allowed else self._refusal(wake.event):
            self._withhold(wake, device, refusal)
            self._advance(wake, *wake.plan.failed(device, wake_plan.LIMITED))
            return
        else:
            wake.allowed = True
            attempt = _Attempt(wake.event)
            self._start(wake, device, attempt)
        self._attempts[key] = attempt
        attempt.wakes.append(wake)
        wake.attempts[device] = attempt
        if attempt.accepted:
            self._advance(wake, *wake.plan.accepted(device))
        elif attempt.failure:
            self._advance(wake, *wake.plan.failed(device, attempt.failure))

    def _refusal(self, event: WakeEvent) -> str:
        return self._limits[_purpose(event)].refusal(event.aor, self._now())

    def _withhold(self, wake: _Wake, device: str, reason: str) -> None:
        self.counters["withheld"] += 1
        self._note(Step(wake.event.call, self._now(), "push-withheld", device=device, reason=reason))

    def _start(self, wake: _Wake, device: str, attempt: _Attempt) -> None:
        event = wake.event
        caller = (event.caller_name or event.caller or None) if self._caller_in_push else None
        purpose = _purpose(event)
        notice = PushNotice(event.call, event.id, event.deadline, caller, purpose)
        self._log.pushed(event, device, self._now())
        for token in self._tokens.of(device, purpose):
            self.counters["pushes"] += 1
            self._note_push(wake, "push-sent", device, token)
            push = self._push_one(wake, device, token, notice, attempt)
            attempt.tasks.add(asyncio.create_task(push, name=f"push-{event.id}"))

    async def _push_one(
        self, wake: _Wake, device: str, token: PushToken, notice: PushNotice, attempt: _Attempt
    ) -> None:
        task = asyncio.current_task()
        try:
            verdict = await self._dispatch(token, notice)
        except asyncio.CancelledError:
            attempt.shown.append(token)
            reason = f"{token.provider}: called off before it was answered"
            self._note_push(wake, "push-refused", device, token, 0, reason)
            raise
        self.counters[verdict.outcome.value] += 1
        attempt.tasks.discard(task)
        delivered = verdict.outcome is Outcome.DELIVERED
        self._note_push(
            wake, "push-accepted" if delivered else "push-refused", device, token, *_answer(token, verdict)
        )
        self._learn(device, token, verdict)
        if delivered:
            attempt.shown.append(token)
            attempt.accepted = True
            self._log.accepted(wake.event.id, device, token.provider, self._now())
            for each in attempt.wakes:
                self._advance(each, *each.plan.accepted(device))
            return
        if not attempt.tasks and not attempt.accepted:
            attempt.failure = _FAILURES[verdict.outcome]
            self._log.refused(wake.event.id, device, token.provider, attempt.failure)
            for each in attempt.wakes:
                self._advance(each, *each.plan.failed(device, attempt.failure))

    def _clear(self, wake: _Wake) -> None:
        """Tell the apps that may show a call, and cannot know it from SIP, that it is over (P5)."""
        for device in wake.plan.still_showing():
            attempt = wake.attempts.get(device)
            if attempt is None or any(
                not each.ended or each.plan.answered == device for each in attempt.wakes
            ):
                continue
            event = attempt.event
            # Not before the push for the call itself would be dropped: it is to take its place.
            deadline = max(event.deadline, self._now() + CLEAR_S)
            notice = PushNotice(event.call, event.id, deadline, purpose=Purpose.OVER)
            for token in attempt.shown:
                if token.clears:
                    self.counters["cleared"] += 1
                    telling = self._tell_over(wake, device, token, notice)
                    attempt.tasks.add(asyncio.create_task(telling, name=f"clear-{event.id}"))
            attempt.shown = []

    async def _tell_over(self, wake: _Wake, device: str, token: PushToken, notice: PushNotice) -> None:
        verdict = await self._dispatch(token, notice)
        self._note_push(wake, "clear-sent", device, token, *_answer(token, verdict))
        self._learn(device, token, verdict)

    def _unheard(self, wake: _Wake, device: str) -> None:
        pushable = self._pushable(wake.event, device)
        self._advance(wake, *wake.plan.unheard(device, pushable=pushable, now=self._now()))

    def _cancel(self, wake: _Wake, device: str, *, at_once: bool) -> None:
        attempt = wake.attempts.get(device)
        if attempt is None or any(_waits(each, device) for each in attempt.wakes if each is not wake):
            return
        for task in attempt.tasks:
            if at_once:
                task.cancel()
            else:
                self._loop.call_later(VERDICT_GRACE_S, task.cancel)

    # --------------------------------------------------------------------------------------- the rest

    def _pushable(self, event: WakeEvent, device: str) -> bool:
        return bool(self._tokens.of(device, _purpose(event)))

    def _lacking(self, event: WakeEvent) -> str:
        if _purpose(event) is not Purpose.CALL:
            devices = (*event.asleep, *event.ringing)
            if any(self._tokens.of(device, Purpose.CALL) for device in devices):
                return wake_plan.CALLS_ALONE
        return wake_plan.NO_TOKEN

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
        self._log.forget(wake.event.id)
        for device, attempt in wake.attempts.items():
            attempt.wakes.remove(wake)
            key = (wake.event.fork or wake.event.id, device)
            if not attempt.wakes and self._attempts.get(key) is attempt:
                del self._attempts[key]
        others = [w for w in self._by_call.pop(wake.event.call, ()) if w is not wake]
        if others:
            self._by_call[wake.event.call] = others


def _purpose(event: WakeEvent) -> Purpose:
    known = (Purpose.MESSAGE, Purpose.REQUEST)
    return next((purpose for purpose in known if purpose == event.purpose), Purpose.CALL)


def _waits(wake: _Wake, device: str) -> bool:
    """Whether this held call still needs the push to the device."""
    return not wake.plan.over and wake.plan.states.get(device) is wake_plan.State.PUSHING


def _answer(token: PushToken, verdict: Verdict) -> tuple[int, str]:
    """What the journal has of a verdict: the status, and the provider with its id for the push, or its reason."""
    word = verdict.provider_id if verdict.outcome is Outcome.DELIVERED else verdict.reason
    return verdict.status, f"{token.provider} {word}".rstrip()
