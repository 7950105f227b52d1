"""Two edges side by side, ours and the native peer, measured in turn so that both see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.calls import Bench
from tests.bench.edge import BenchError, Edge
from tests.bench.population import Phone
from tests.bench.progress import Progress
from tests.bench.sip import Credential

PEER = "the same steps in Kamailio's native language"
PHONES, PBX = "127.0.43.3", "127.0.44.2"
ADDRESSES = {"kemi": "127.0.41.1", "native": "127.0.42.1"}
# Bindings are written behind, each second; a device that has signed off is really gone after two such rounds.
FLUSH = 2.5  # seconds


@dataclass
class Side:
    """One of the two, ready to be measured."""

    edge: Edge
    bench: Bench
    credential: Credential

    def renew(self, phone: Phone) -> None:
        """Ask for another nonce: one lives five minutes."""
        self.credential = self.bench.credential(phone)

    def measure(self, work: Callable[[], None], count: int) -> tuple[float, float]:
        """CPU seconds for each of ``count`` pieces of work: of all processes, and of those that handle SIP.

        What the work leaves for the timers is waited for and counted.
        """
        before, workers = self.edge.cpu(), self.edge.cpu_of_workers()
        started = time.monotonic()
        work()
        time.sleep(FLUSH)
        everything = self.edge.used(before, started)
        return everything / count, (self.edge.cpu_of_workers() - workers) / count


@contextmanager
def edge_at_work(
    name: str, home: Path, repository: Path, people: Sequence[Phone], wait: float
) -> Iterator[Side]:
    """One edge, started, with its phones and PBX; stopped at the end. ``wait`` is how long a call is held, in seconds."""
    edge = Edge(name, home / name, ADDRESSES[name], name == "native", repository)
    with ExitStack() as stack:
        bench = Bench(edge, PHONES, PBX)
        stack.callback(bench.close)
        stack.callback(edge.stop)
        edge.start(people, PBX, wait)
        time.sleep(1)
        edge.measure_idle()
        yield Side(edge, bench, bench.credential(people[0]))
        edge.check()


@contextmanager
def both_at_work(
    home: Path, repository: Path, people: Sequence[Phone], wait: float
) -> Iterator[tuple[Side, Side]]:
    """Ours and the peer."""
    with (
        edge_at_work("kemi", home, repository, people, wait) as ours,
        edge_at_work("native", home, repository, people, wait) as peer,
    ):
        yield ours, peer


def in_turn(
    sides: tuple[Side, Side], rounds: int, progress: Progress, measure: Callable[[Side], tuple[float, float]]
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Measure A, B, A, B …; returns the pairs for all processes and for the workers alone. The first round warms up."""
    everything, workers = [], []
    for number in range(rounds + 1):
        progress.step(f"round {number} of {rounds}" if number else "warming up")
        ours, peer = measure(sides[0]), measure(sides[1])
        if number:
            everything.append((ours[0], peer[0]))
            workers.append((ours[1], peer[1]))
    return everything, workers


def same_events(ours: dict[str, int], peer: dict[str, int]) -> None:
    """Raise BenchError unless both sides told the same: a peer that does less is no peer."""
    if ours != peer:
        raise BenchError(f"kemi and the native peer do not tell the same events: {ours} against {peer}")
