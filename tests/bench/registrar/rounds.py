"""What is done to each of the two, and measured: registering, refreshing, holding, being killed and coming back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.edge import BenchError
from tests.bench.progress import Progress
from tests.bench.registrar import subjects
from tests.bench.registrar.accounts import EXPIRES, Account
from tests.bench.registrar.subjects import Subject
from tests.fakes.registrar import FakeRegistrar

SOON = "*[0-3]"  # the accounts whose first registrations are short: four of ten, by the last digit
_LOOK = 0.5  # seconds between two looks; the PBX counts all its bindings for each
_SETTLE = 2.0  # seconds for what was started to come to rest
_IDLE = 3.0  # seconds over which idleness is measured
_REFRESHING = 10.0  # seconds, at least, over which the cost of a refresh is measured
# Times what the first registrations should take: who was first comes back after half of his time, and then all have one.
_LATE = 2.4
_SHORTEST = 20  # seconds that the PBX grants at least
_SLOWEST = 120  # accounts a second, at least: else something is wrong


@dataclass(frozen=True)
class Idle:
    """A subject without any account: CPU seconds a second, and bytes of memory."""

    cpu: float
    memory: int


@dataclass(frozen=True)
class Refreshed:
    """Every account was refreshed at least once: the cost of one, in µs of CPU and in messages, and how fast it went."""

    cpu_us: float
    messages: float
    per_second: float


@dataclass(frozen=True)
class Held:
    """Accounts that had a binding at every moment, of those that should; and what the PBX noticed meanwhile.

    ``changes`` are Call-IDs or tags that changed and CSeqs that did not grow.
    """

    registering_s: float
    held: int
    bytes_each: float
    changes: int
    per_second: float


@dataclass(frozen=True)
class Restarted:
    """After kill -9 and a start: REGISTERs in the worst tenth of a second, and accounts registered long before their time."""

    peak: int
    resent_pct: float
    received: int


def idle(subject: Subject) -> Idle:
    """Start it with no account, and see what it needs for itself."""
    subject.prepare([])
    subject.process.start()
    try:
        time.sleep(_SETTLE)
        before, started = subjects.cpu(subject), time.monotonic()
        time.sleep(_IDLE)
        now = subjects.use(subject)
        return Idle((now.cpu - before) / (time.monotonic() - started), now.memory)
    finally:
        subject.process.stop()


def refresh(
    subject: Subject, held: Sequence[Account], pbx: FakeRegistrar, rest: Idle, progress: Progress
) -> Refreshed:
    """With the subject started: wait until all are registered, then at least until each was refreshed. Raises BenchError."""
    _wait(pbx, "bound", len(held), f"{subject.name}: registered", progress)
    pbx.clear()
    before, started = subjects.cpu(subject), time.monotonic()
    _wait(pbx, "users", len(held), f"{subject.name}: refreshed", progress)
    time.sleep(max(0.0, started + _REFRESHING - time.monotonic()))
    took, after, seen = time.monotonic() - started, subjects.cpu(subject), pbx.statistics()
    return Refreshed(
        cpu_us=(after - before - rest.cpu * took) / seen["accepted"] * 1e6,
        messages=(seen["received"] + seen["retransmissions"] + seen["sent"]) / seen["accepted"],
        per_second=seen["accepted"] / took,
    )


def hold(
    subject: Subject,
    held: Sequence[Account],
    pbx: FakeRegistrar,
    rest: Idle,
    expected: float,
    progress: Progress,
) -> Held:
    """Start it, wait until all are registered, then until those that ``SOON`` names were refreshed.

    Their first registrations end soon after all have one, so that a minute or two shows a refresh that goes on under
    everything else; all others, and these from then on, get up to an hour, so that bindings of all ages are there.
    ``expected`` is how long the first registrations should take, in seconds. Raises BenchError.
    """
    soon = sum(account.user[-1] in "0123" for account in held)
    until = time.time() + 10 + _LATE * expected + _SHORTEST + 5
    pbx.order("*", granted=EXPIRES, granted_least=EXPIRES // 3)
    pbx.order(SOON, until=until, spread=max(10, len(held) // 1250), granted_least=_SHORTEST)
    started = time.monotonic()
    subject.process.start()
    _wait(pbx, "bound", len(held), f"{subject.name}: registered", progress)
    registering, first = time.monotonic() - started, pbx.statistics()
    pbx.clear()
    pbx.order(SOON, until=0.0, granted=EXPIRES, granted_least=EXPIRES // 3)
    started = time.monotonic()
    _wait(pbx, "users", soon, f"{subject.name}: refreshed", progress)
    took, seen = time.monotonic() - started, pbx.statistics()
    lapsed = first["lapsed"] + seen["lapsed"]
    return Held(
        registering_s=registering,
        held=min(seen["bound"], len(held) - lapsed),
        bytes_each=(subjects.use(subject).memory - rest.memory) / len(held),
        changes=seen["call_id_changes"] + seen["tag_changes"] + seen["cseq_regressions"],
        per_second=seen["accepted"] / took,
    )


def restart(
    subject: Subject, count: int, pbx: FakeRegistrar, watch: float, meanwhile: Callable[[float], None]
) -> Restarted:
    """Kill it, start it, and look on for ``watch`` seconds. ``meanwhile`` is called with the moment of the kill."""
    pbx.clear()
    killed = time.monotonic()
    subject.process.kill()
    subject.process.begin()
    meanwhile(killed)
    subject.process.wait_ready()
    time.sleep(max(0.0, killed + watch - time.monotonic()))
    seen = pbx.statistics()
    return Restarted(seen["peak"], 100.0 * seen["early"] / count, seen["received"])


def _wait(pbx: FakeRegistrar, what: str, count: int, label: str, progress: Progress) -> None:
    within = 60 + count / _SLOWEST
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        reached = pbx.statistics()[what]
        progress.step(f"{label}: {reached} of {count}")
        if reached >= count:
            return
        time.sleep(_LOOK)
    seen = {name: value for name, value in pbx.statistics().items() if name != "arrivals"}
    raise BenchError(f"{label}: only {seen[what]} of {count} within {within:.0f} s; the PBX has seen {seen}")
