"""What to do about one held call: whom to push to, when the caller hears ringing, when to give up.

Pure: what happened goes in, a new plan and the commands to carry out come out. No clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

# A device that was sent the INVITE and has not answered 180 by then sleeps behind its binding.
UNHEARD_S = 1.5

NO_TOKEN = "No push token"  # noqa: S105
CALLS_ALONE = "Its push token is for calls alone"  # and a push for anything else would show one (APNs)
TOKEN_DEAD = "Push token is dead"  # noqa: S105
PUSH_REFUSED = "Push refused"
MISCONFIGURED = "Push provider is misconfigured"
UNAVAILABLE = "Push provider is unavailable"
LIMITED = "Too many calls in a minute"
NOBODY = "No device can be woken"
ALL_REFUSED = "No device takes the call"


class State(StrEnum):
    """How far one device has come in one wake."""

    RINGING = "ringing"  # was sent the INVITE over its binding; no word from it yet
    PUSHING = "pushing"  # a push is under way
    NOTIFIED = "notified"  # a provider has taken a push
    AWAKE = "awake"  # registered since, or its own 180 or answer was seen
    REFUSED = "refused"  # declined, was busy, or said otherwise that it will not take the call
    FAILED = "failed"  # nothing can reach it


@dataclass(frozen=True, slots=True)
class Push:
    """Send a push to each token of ``device``."""

    device: str


@dataclass(frozen=True, slots=True)
class Listen:
    """Tell the plan ``unheard`` if ``device`` has given no sign after ``seconds``."""

    device: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Ring:
    """Order 180 towards the caller: a provider has taken a push for one of the devices."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Order 599 on the park transaction: nobody can be woken, and nobody rings. ``reason`` is plain ASCII."""

    reason: str


@dataclass(frozen=True, slots=True)
class CancelPush:
    """Stop a push to ``device`` that is still under way: it has become pointless.

    ``at_once`` is False when the device woke while the provider's answer is still out: wait a moment for it.
    """

    device: str
    at_once: bool = True


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Note in the journal why ``device`` got no push at all."""

    device: str
    reason: str


Command = Push | Listen | Ring | GiveUp | CancelPush | Unreachable


@dataclass(frozen=True, slots=True)
class WakePlan:
    """One held call as far as waking goes. ``states`` are by device id; ``deadline`` is UNIX time in seconds.

    ``sent`` are the devices that were sent the INVITE: as one may yet answer, the call is not ours to end before
    they have refused it. ``answered`` is the device that took the call, as soon as it is known.
    """

    deadline: float
    early_ringing: bool
    sent: frozenset[str]
    states: Mapping[str, State]
    reasons: Mapping[str, str]
    rung: bool = False
    over: bool = False
    answered: str = ""
    lacking: str = NO_TOKEN  # why a device that cannot be pushed to cannot

    @classmethod
    def begin(
        cls,
        *,
        asleep: list[str],
        ringing: list[str],
        pushable: Callable[[str], bool],
        deadline: float,
        early_ringing: bool,
        now: float,
        seen: Mapping[str, State] | None = None,
        lacking: str = NO_TOKEN,
    ) -> tuple[WakePlan, list[Command]]:
        """Take charge of a held call: sleeping devices are pushed to now, bound ones get a moment.

        ``seen`` are the devices whose own word (AWAKE or REFUSED) has overtaken the news that the call is held.
        """
        plan = cls(deadline, early_ringing, frozenset(ringing), {}, {}, over=now >= deadline, lacking=lacking)
        if plan.over:
            return plan, []
        states = {**dict.fromkeys(ringing, State.RINGING), **(seen or {})}
        reasons: dict[str, str] = {}
        commands: list[Command] = []
        for device in dict.fromkeys(asleep):
            if device in states:
                continue
            if pushable(device):
                states[device] = State.PUSHING
                commands.append(Push(device))
            else:
                states[device] = State.FAILED
                reasons[device] = lacking
                commands.append(Unreachable(device, lacking))
        commands += [Listen(device, UNHEARD_S) for device in ringing if states[device] is State.RINGING]
        plan = replace(plan, states=states, reasons=reasons)
        return plan._settle(commands)

    def unheard(self, device: str, *, pushable: bool, now: float) -> tuple[WakePlan, list[Command]]:
        """A device that was sent the INVITE has given no sign: it may be asleep behind a stale binding."""
        if self.over or now >= self.deadline or self.states.get(device) is not State.RINGING:
            return self, []
        if not pushable:
            return self._with(device, State.FAILED, self.lacking), [Unreachable(device, self.lacking)]
        return self._with(device, State.PUSHING), [Push(device)]

    def accepted(self, device: str) -> tuple[WakePlan, list[Command]]:
        """A provider took a push for the device."""
        if self.over:
            return self, []
        plan = self
        if self.states.get(device) is State.PUSHING:
            plan = self._with(device, State.NOTIFIED)
        if plan.rung or not plan.early_ringing:
            return plan, []
        return replace(plan, rung=True), [Ring()]

    def failed(self, device: str, reason: str) -> tuple[WakePlan, list[Command]]:
        """None of the device's tokens got a push through. ``reason`` is one of this module's."""
        if self.over or self.states.get(device) is not State.PUSHING:
            return self, []
        return self._with(device, State.FAILED, reason)._settle([])

    def awake(self, device: str, *, ringing: bool = False) -> tuple[WakePlan, list[Command]]:
        """The device registered for this call, or (``ringing``) its own 180 or answer went to the caller."""
        if self.over or self.states.get(device) in (State.AWAKE, State.REFUSED):
            return (replace(self, rung=True) if ringing else self), []
        pushing = self.states.get(device) is State.PUSHING
        plan = replace(self._with(device, State.AWAKE), rung=self.rung or ringing)
        return plan, [CancelPush(device, at_once=False)] if pushing else []

    def taken(self, device: str) -> tuple[WakePlan, list[Command]]:
        """The device answered; of two that answer at once, the first one heard of counts."""
        plan, commands = self.awake(device, ringing=True)
        return replace(plan, answered=self.answered or device), commands

    def refused(self, device: str) -> tuple[WakePlan, list[Command]]:
        """The device will not take the call; the others may, and without others it is over (W10)."""
        if self.over:
            return self, []
        pushing = self.states.get(device) is State.PUSHING
        commands: list[Command] = [CancelPush(device, at_once=False)] if pushing else []
        return self._with(device, State.REFUSED)._settle(commands)

    def ended(self) -> tuple[WakePlan, list[Command]]:
        """The call is not held any more, for whatever reason: no push may leave from now on."""
        pushing = [d for d, state in self.states.items() if state is State.PUSHING]
        return replace(self, over=True), [CancelPush(device) for device in pushing]

    def still_showing(self) -> list[str]:
        """After the end: the devices that may show a call because of a push, which nothing else may clear (P5)."""
        shows = (State.PUSHING, State.NOTIFIED, State.AWAKE)
        return [d for d, state in self.states.items() if state in shows and d != self.answered]

    def _with(self, device: str, state: State, reason: str = "") -> WakePlan:
        reasons = {**self.reasons, device: reason} if reason else self.reasons
        return replace(self, states={**self.states, device: state}, reasons=reasons)

    def _settle(self, commands: list[Command]) -> tuple[WakePlan, list[Command]]:
        """Give up as soon as every device has failed or refused, and none that was sent the INVITE may yet answer."""
        if any(self._may_answer(device, state) for device, state in self.states.items()):
            return self, commands
        refused = State.REFUSED in self.states.values()
        said = set(self.reasons.values()) or {ALL_REFUSED if refused else NOBODY}
        reason = said.pop() if len(said) == 1 else NOBODY
        return replace(self, over=True), [*commands, GiveUp(reason)]

    def _may_answer(self, device: str, state: State) -> bool:
        return state is not State.REFUSED and (state is not State.FAILED or device in self.sent)
