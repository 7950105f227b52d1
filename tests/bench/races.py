"""Calls that cross with the REGISTER of the phone they are for: none may be lost, none may ring twice."""

from __future__ import annotations

from pathlib import Path

from tests.bench.calls import Outcome
from tests.bench.figures import Figure
from tests.bench.pair import edge_at_work
from tests.bench.population import phones
from tests.bench.priority import before_others
from tests.bench.progress import Progress

_CALLS = 20_000
RATE = 1000.0  # calls a second
_CROSSING = 0.002  # seconds around the INVITE
_WAIT = 10.0  # seconds a call is held: long enough, and a lost one shows soon


def measure(
    home: Path, repository: Path, progress: Progress, scale: float, rate: float = RATE
) -> list[Figure]:
    """`wake.lost` and `wake.doubled` of 40,000. Raises BenchError when a process of Kamailio has ended."""
    outcomes = []
    for crossing, text in (
        (None, "phones register at the instant of the notice"),
        (_CROSSING, "phones register within 2 ms of the INVITE"),
    ):
        progress.title(f"races: {int(_CALLS * scale)} calls at {rate:g}/s, {text}")
        outcomes.append(
            _race(home / f"race-{crossing or 'notice'}", repository, progress, scale, rate, crossing)
        )
    lost = sum(outcome.lost for outcome in outcomes)
    doubled = sum(outcome.doubled for outcome in outcomes)
    return [
        Figure("wake.lost", lost, f"of {int(2 * _CALLS * scale)}", goal=0),
        Figure("wake.doubled", doubled, f"of {int(2 * _CALLS * scale)}", goal=0),
    ]


def _race(
    home: Path, repository: Path, progress: Progress, scale: float, rate: float, crossing: float | None
) -> Outcome:
    people = phones(int(_CALLS * scale))
    with before_others(), edge_at_work("kemi", home, repository, people, _WAIT) as side:
        outcome = side.bench.call(people, rate, side.credential, progress.step, crossing=crossing)
        calls = outcome.calls
        progress.result(
            f"{outcome.lost} lost, {outcome.doubled} doubled; answers {dict(calls.outcomes)}, none to "
            f"{outcome.missing}; {outcome.wanted / calls.busy:.0f} calls/s; INVITEs sent again: {calls.retransmitted}, "
            f"second, other answers: {calls.contradicted}; CPU {side.edge.cpu() / outcome.wanted * 1e3:.2f} ms a call"
        )
        for line in side.edge.errors()[:1]:
            progress.result(f"its log has {len(side.edge.errors())} errors, the first: {line}")
        if outcome.wanted / calls.busy < 0.9 * rate:
            progress.result(
                f"this machine did not keep up with {rate:g} calls/s: what follows from overload (INVITEs sent again, "
                "answers later than the timers) is in these numbers beside the races; try --race-rate"
            )
    return outcome
