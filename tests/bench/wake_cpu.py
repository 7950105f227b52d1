"""What a woken call costs Kamailio: INVITE, hold, event, REGISTER, INVITE at the device, 180, 200, ACK, BYE."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.bench.edge import BenchError
from tests.bench.figures import Figure, against
from tests.bench.pair import PEER, Side, both_at_work, in_turn, same_events
from tests.bench.population import phones
from tests.bench.progress import Progress

GOAL = 1.3
_STARTS = 3  # of Kamailio: where in memory it comes to lie makes some of the difference between two runs
_ROUNDS = 4  # in each
_RATE = 150.0  # calls a second: far from what would make calls wait for each other


def measure(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """`wake.cpu_ms_per_call`, and the same without the timers that write bindings to disk."""
    people = phones(int(600 * scale))
    progress.title(f"woken calls: {len(people)} at {_RATE:g}/s, {_STARTS} times {_ROUNDS} rounds each")
    told: dict[str, Counter[str]] = {}

    def call(side: Side) -> tuple[float, float]:
        events: Counter[str] = Counter()

        def work() -> None:
            outcome = side.bench.call(people, _RATE, side.credential, lambda text: None, hang_up=True)
            if outcome.lost or outcome.doubled or outcome.calls.byes != len(people):
                raise BenchError(
                    f"{side.edge.name}: of {len(people)} calls {outcome.lost} lost, {outcome.doubled} doubled "
                    f"({dict(outcome.calls.outcomes)}); what such a run costs means nothing"
                )
            events.update(outcome.heard.events)

        side.renew(people[0])
        used = side.measure(work, len(people))
        # A wake that was held while the timer passed by is told twice.
        events["wake"] = min(events["wake"], len(people))
        told[side.edge.name] = events
        side.bench.register(people, side.credential, expires=0)
        side.bench.settle()
        return used

    everything, workers = [], []
    for start in range(_STARTS):
        with both_at_work(home / str(start), repository, people, wait=20.0) as sides:
            of_all, of_workers = in_turn(sides, _ROUNDS, progress, call)
        same_events(told["kemi"], told["native"])
        everything += of_all
        workers += of_workers
    return [
        against("wake.cpu_ms_per_call", "ms", PEER, _milliseconds(everything), GOAL),
        against("wake.worker_cpu_ms_per_call", "ms", PEER, _milliseconds(workers), None),
    ]


def _milliseconds(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(ours * 1e3, peer * 1e3) for ours, peer in pairs]
