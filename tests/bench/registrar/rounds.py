"""One subject's round: register, refresh once around, be killed, come back; and what that took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.edge import BenchError
from tests.bench.registrar import subjects
from tests.bench.registrar.accounts import EXPIRES, Account
from tests.bench.registrar.subjects import Subject
from tests.fakes.registrar import FakeRegistrar

Progress = Callable[[str], None]
_LOOK = 0.25  # seconds between two looks
_SETTLE = 2.0  # seconds for what was started to come to rest
_IDLE = 3.0  # seconds over which idleness is measured


@dataclass(frozen=True)
class Idle:
    """A subject without any account: CPU seconds a second, and bytes of memory."""

    cpu: float
    memory: int


@dataclass(frozen=True)
class Kept:
    """The steady state: each account refreshed at least once. ``held`` have had a binding at every moment of it."""

    registering_s: float
    cpu_us: float
    messages: float
    bytes_each: float
    held: int
    regressions: int
    refreshes_per_s: float


@dataclass(frozen=True)
class Restarted:
    """After kill -9 and a start: REGISTERs in the worst tenth of a second, and accounts registered long before their time."""

    peak: int
    resent_pct: float
    received: int


def idle(subject: Subject, pbx: tuple[str, int]) -> Idle:
    """Start it with no account, and see what it needs for itself."""
    subject.prepare([], pbx)
    subject.process.start()
    try:
        time.sleep(_SETTLE)
        before, started = subjects.cpu(subject), time.monotonic()
        time.sleep(_IDLE)
        now = subjects.use(subject)
        return Idle((now.cpu - before) / (time.monotonic() - started), now.memory)
    finally:
        subject.process.stop()


def keep(
    subject: Subject, held: Sequence[Account], pbx: FakeRegistrar, rest: Idle, progress: Progress
) -> Kept:
    """With the subject prepared: start it, wait until all are registered, then until each was refreshed.

    Afterwards every account has a binding of up to an hour, all of different ages. Raises BenchError.
    """
    started = time.monotonic()
    subject.process.start()
    _wait(pbx, "bound", len(held), 30 + len(held) / 150, f"{subject.name}: registered", progress)
    registering = time.monotonic() - started
    time.sleep(_SETTLE)
    pbx.clear()
    pbx.order("*", granted=EXPIRES, granted_least=EXPIRES // 10)
    before, started = subjects.cpu(subject), time.monotonic()
    _wait(pbx, "users", len(held), 60 + len(held) / 150, f"{subject.name}: refreshed", progress)
    took, after, seen = time.monotonic() - started, subjects.use(subject), pbx.statistics()
    work = after.cpu - before - rest.cpu * took
    return Kept(
        registering_s=registering,
        cpu_us=work / seen["accepted"] * 1e6,
        messages=(seen["received"] + seen["retransmissions"] + seen["sent"]) / seen["accepted"],
        bytes_each=(after.memory - rest.memory) / len(held),
        held=min(seen["bound"], len(held) - seen["lapsed"]),
        regressions=seen["call_id_changes"] + seen["tag_changes"] + seen["cseq_regressions"],
        refreshes_per_s=seen["accepted"] / took,
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


def _wait(pbx: FakeRegistrar, what: str, count: int, within: float, label: str, progress: Progress) -> None:
    deadline, told = time.monotonic() + within, time.monotonic()
    while (now := time.monotonic()) < deadline:
        reached = pbx.statistics()[what]
        if reached >= count:
            return
        if now - told > 5:
            told = now
            progress(f"{label}: {reached} of {count}")
        time.sleep(_LOOK)
    seen = {name: value for name, value in pbx.statistics().items() if name != "arrivals"}
    raise BenchError(f"{label}: only {seen[what]} of {count} within {within:.0f} s; the PBX has seen {seen}")
