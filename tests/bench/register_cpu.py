"""What an authenticated REGISTER costs: nonce reused, binding refreshed, push parameters read, event sent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.bench.figures import Figure, against
from tests.bench.pair import PEER, Side, both_at_work, in_turn, same_events
from tests.bench.population import phones
from tests.bench.progress import Progress

GOAL = 1.3
_ROUNDS = 5


def measure(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """`register.cpu_us`, and the same without the timers that write bindings to disk. ``scale`` shortens a trial."""
    people = phones(int(3000 * scale))
    progress.title(f"REGISTER: {len(people)} devices refresh their binding, {_ROUNDS} rounds each")
    told: dict[str, Counter[str]] = {}

    def refresh(side: Side) -> tuple[float, float]:
        def work() -> None:
            side.bench.register(people, side.credential)

        side.renew(people[0])
        used = side.measure(work, len(people))
        told[side.edge.name] = kinds(side.bench.drain_events())
        return used

    with both_at_work(home, repository, people, wait=20.0) as sides:
        everything, workers = in_turn(sides, _ROUNDS, progress, refresh)
    same_events(told["kemi"], told["native"])
    return [
        against("register.cpu_us", "us", PEER, _microseconds(everything), GOAL),
        against("register.worker_cpu_us", "us", PEER, _microseconds(workers), None),
    ]


def kinds(datagrams: list[bytes]) -> Counter[str]:
    """How many events of each type."""
    return Counter(d.partition(b'"type":"')[2].partition(b'"')[0].decode() for d in datagrams)


def _microseconds(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(ours * 1e6, peer * 1e6) for ours, peer in pairs]
