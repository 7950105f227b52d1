"""What is recorded of each device's wakes: told at every stage, so that an agent that dies leaves a row that says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from control.domain.wakes import CALLED_OFF, LATE, REFUSED, SLEPT, WOKE, DeviceWake
from kemi.wire import WakeEvent

NO_ANSWER = "no provider answered in time"


class WakeLog:
    """The wakes that are under way or were until a moment ago, by wake and device. ``put`` is told of each change."""

    def __init__(self, put: Callable[[DeviceWake], None]) -> None:
        self._put = put
        self._wakes: dict[str, dict[str, DeviceWake]] = {}
        self._of_device: defaultdict[str, set[str]] = defaultdict(set)

    def resume(self, records: Iterable[DeviceWake]) -> None:
        """Know again what an earlier incarnation has recorded."""
        for record in records:
            self._keep(record)

    def was_accepted(self, wake: str, device: str) -> bool:
        """Whether a provider has taken a push to the device for this wake, be it from an earlier incarnation."""
        record = self._wakes.get(wake, {}).get(device)
        return record is not None and record.accepted_at > 0

    def pushed_at(self, wake: str, device: str) -> float:
        """When the device was pushed to for this wake, UNIX seconds; 0.0 if it was not."""
        record = self._wakes.get(wake, {}).get(device)
        return 0.0 if record is None else record.pushed_at

    def pushed(self, event: WakeEvent, device: str, at: float) -> None:
        """A push is about to leave."""
        if device not in self._wakes.get(event.id, {}):
            self._change(DeviceWake(event.id, device, event.call, at, event.deadline, purpose=event.purpose))

    def accepted(self, wake: str, device: str, provider: str, at: float) -> None:
        """A provider has taken a push."""
        record = self._wakes.get(wake, {}).get(device)
        if record is not None and not record.accepted_at:
            self._change(replace(record, accepted_at=at, provider=provider))

    def refused(self, wake: str, device: str, provider: str, reason: str) -> None:
        """No provider has taken a push."""
        self._end(wake, device, REFUSED, provider=provider, reason=reason)

    def spoke(self, wake: str, device: str) -> None:
        """The device itself rang, answered or refused."""
        self._end(wake, device, WOKE)

    def registered(self, device: str, at: float) -> None:
        """The device has registered: it came for every wake that is open, or too late for one that was given up."""
        for wake in tuple(self._of_device.get(device, ())):
            record = self._wakes[wake][device]
            if record.registered_at or at < record.pushed_at:
                continue
            outcome = {"": WOKE, SLEPT: LATE}.get(record.outcome, record.outcome)
            self._change(replace(record, registered_at=at, outcome=outcome))

    def ended(self, wake: str, *, at_deadline: bool) -> None:
        """The call is not held any more: its deadline has come, or (False) it ended by itself."""
        for device, record in tuple(self._wakes.get(wake, {}).items()):
            if not at_deadline:
                self._end(wake, device, CALLED_OFF)
            elif record.accepted_at:
                self._end(wake, device, SLEPT)
            else:
                self._end(wake, device, REFUSED, reason=NO_ANSWER)

    def forget(self, wake: str) -> None:
        """Nothing more will be heard of it."""
        for device in self._wakes.pop(wake, {}):
            self._of_device[device].discard(wake)
            if not self._of_device[device]:
                del self._of_device[device]

    def _end(self, wake: str, device: str, outcome: str, provider: str = "", reason: str = "") -> None:
        record = self._wakes.get(wake, {}).get(device)
        if record is not None and not record.outcome:
            self._change(
                replace(record, outcome=outcome, provider=provider or record.provider, reason=reason)
            )

    def _change(self, record: DeviceWake) -> None:
        self._keep(record)
        self._put(record)

    def _keep(self, record: DeviceWake) -> None:
        self._wakes.setdefault(record.wake, {})[record.device] = record
        self._of_device[record.device].add(record.wake)
