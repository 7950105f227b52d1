"""How soon the call reaches a phone that has just registered."""

from __future__ import annotations

from pathlib import Path

from tests.bench.edge import BenchError
from tests.bench.figures import Figure, percentile
from tests.bench.pair import edge_at_work
from tests.bench.population import phones
from tests.bench.progress import Progress

GOAL = 5.0
_RATE = 300.0  # calls a second


def measure(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """`wake.resume_ms_p99`: the REGISTER's 200 at the device to the INVITE at the device, by the kernel's clock."""
    people = phones(int(3000 * scale))
    progress.title(f"resume: {len(people)} woken calls at {_RATE:g}/s")
    with edge_at_work("kemi", home / "resume", repository, people, 20.0) as side:
        outcome = side.bench.call(people, _RATE, side.credential, progress.step, hang_up=True)
    if outcome.lost or outcome.doubled:
        raise BenchError(f"resume: {outcome.lost} calls lost, {outcome.doubled} doubled of {len(people)}")
    found = [seconds * 1e3 for seconds in outcome.heard.resume]
    return [
        Figure("wake.resume_ms_p50", round(percentile(found, 50), 3), "ms"),
        Figure("wake.resume_ms_p99", round(percentile(found, 99), 3), "ms", goal=GOAL),
    ]
