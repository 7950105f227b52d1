"""Staying registered, measured: Nightbell's registrar beside Kamailio's stock uac module, same accounts, same PBX, same run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench.edge import BenchError
from tests.bench.figures import Figure
from tests.bench.registrar import rounds
from tests.bench.registrar.accounts import Account, numbered
from tests.bench.registrar.first_call import FirstCall
from tests.bench.registrar.keeper import Keeper
from tests.bench.registrar.rounds import Idle, Kept, Restarted
from tests.bench.registrar.subjects import Nightbell, StockUac, Subject
from tests.fakes.registrar import FakeRegistrar

REPOSITORY = Path(__file__).parents[3]
FULL, QUICK = 100_000, 5_000
_PBX, _OURS, _PEER, _PHONE, _CALLER = (f"127.0.6{n}.7" for n in range(5))
_RATE = 700  # refreshes a second that the short life of the registrations leads to
_PEER_NAME = "kamailio uac"
Progress = Callable[[str], None]


def figures(progress: Progress, count: int = FULL, repository: Path = REPOSITORY) -> list[Figure]:
    """Measure with ``count`` accounts. The PBX grants a life that is short enough to see every account refreshed.

    Raises BenchError when the accounts cannot be kept registered at all.
    """
    life = max(20, count // _RATE)
    held = numbered(count)
    with tempfile.TemporaryDirectory(prefix="nightbell-registrar-") as folder:
        ours = Nightbell(Path(folder) / "nightbell", _OURS, repository)
        peer = StockUac(Path(folder) / "uac", _PEER, delay=max(5, life // 2))
        mine, mine_again, first_call = _measure_ours(ours, held, life, progress)
        theirs, theirs_again = _measure_peer(peer, held, life, progress)
    return _figures(mine, mine_again, first_call, theirs, theirs_again)


def _measure_ours(
    ours: Nightbell, held: list[Account], life: int, progress: Progress
) -> tuple[Kept, Restarted, float]:
    edge = (ours.address, ours.settings.edge.sip_port)
    first_call = FirstCall(edge, _PHONE, _CALLER)
    answered: list[float] = []
    with _pbx(life) as pbx:
        rest = _rest(ours, pbx, progress)
        ours.prepare(held, (pbx.address, pbx.ports["udp"]))
        first_call.settle_in(ours.settings.projection_db)
        keeper = Keeper(ours.settings.projection_db, ours.settings.edge.events_port)
        keeper.start()
        try:
            kept = rounds.keep(ours, held, pbx, rest, progress)
            progress(f"{ours.name}: {kept}")
            first_call.register(ours.settings.location_db)
            again = rounds.restart(
                ours, len(held), pbx, 15.0, lambda killed: answered.append(first_call.wait(killed))
            )
            progress(f"{ours.name}: {again}, first call after {answered[0]:.2f} s")
        finally:
            ours.process.stop()
            keeper.stop()
            first_call.close()
    return kept, again, answered[0]


def _measure_peer(
    peer: StockUac, held: list[Account], life: int, progress: Progress
) -> tuple[Kept, Restarted]:
    with _pbx(life) as pbx:
        rest = _rest(peer, pbx, progress)
        peer.prepare(held, (pbx.address, pbx.ports["udp"]))
        try:
            kept = rounds.keep(peer, held, pbx, rest, progress)
            progress(f"{peer.name}: {kept}")
            again = rounds.restart(peer, len(held), pbx, peer.delay + 15.0, lambda _: None)
            progress(f"{peer.name}: {again}")
        finally:
            peer.process.stop()
    return kept, again


def _pbx(life: int) -> FakeRegistrar:
    return FakeRegistrar(_PBX, default={"granted": life}, history=0)


def _rest(subject: Subject, pbx: FakeRegistrar, progress: Progress) -> Idle:
    rest = rounds.idle(subject, (pbx.address, pbx.ports["udp"]))
    progress(f"{subject.name}: at rest {100 * rest.cpu:.2f} % of a core, {rest.memory / 1e6:.1f} MB")
    return rest


def _figures(
    mine: Kept, mine_again: Restarted, first_call: float, theirs: Kept, theirs_again: Restarted
) -> list[Figure]:
    def beside(name: str, unit: str, own: float, other: float, goal: float | None = None) -> Figure:
        return Figure(name, round(own, 3), unit, _PEER_NAME, round(other, 3), round(own / other, 4), goal)

    return [
        beside("registrar.cpu_us", "µs", mine.cpu_us, theirs.cpu_us, 1.3),
        beside("registrar.messages_per_refresh", "messages", mine.messages, theirs.messages, 0.55),
        Figure(
            name="registrar.bytes_per_account",
            value=round(mine.bytes_each),
            unit="bytes",
            peer=_PEER_NAME,
            peer_value=round(theirs.bytes_each),
            goal=2000,
        ),
        Figure("registrar.held", mine.held, "accounts"),
        Figure("registrar.restart_resent_pct", round(mine_again.resent_pct, 3), "%", goal=1.0),
        # With nothing due, nothing is sent; one is the least that can be compared.
        beside(
            "registrar.restart_peak_per_100ms", "REGISTERs", max(1, mine_again.peak), theirs_again.peak, 0.01
        ),
        Figure("registrar.first_call_after_kill_s", round(first_call, 3), "s", goal=5.0),
    ]


__all__ = ["FULL", "QUICK", "BenchError", "figures"]
