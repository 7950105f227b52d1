"""Staying registered, measured: Nightbell's registrar beside Kamailio's stock uac module, same accounts, same PBXs, same run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import Figure, against
from tests.bench.progress import Progress
from tests.bench.registrar import rounds
from tests.bench.registrar.accounts import EXPIRES, Account, numbered
from tests.bench.registrar.first_call import FirstCall
from tests.bench.registrar.keeper import Keeper
from tests.bench.registrar.rounds import Held, Idle, Refreshed, Restarted
from tests.bench.registrar.subjects import Nightbell, StockUac, Subject
from tests.fakes.registrar import FakeRegistrar

ACCOUNTS = 100_000
_PBXS = tuple(f"127.0.60.{number}" for number in range(7, 11))
_OURS, _PEER, _PHONE, _CALLER = (f"127.0.6{number}.7" for number in range(1, 5))
_PEER_NAME = "kamailio uac"
# The cost of a refresh is measured with both at work, thousands a second: at a leisurely pace most of it is the kernel
# waking processes up, which is no matter of the registrar's. Our own pace would not allow that.
_BUSY_ACCOUNTS, _BUSY_LIFE, _BUSY_LIFE_PEER, _BUSY_PACE = 7_500, 7, 24, 20_000
_BUSY_ROUNDS = 2
_BUSY_LEAST = 3_000  # in a trial: with fewer there is nothing to measure
_WATCH = 15.0  # seconds after a restart
_PACE = 500  # REGISTERs a second at most, of our own accord


def measure(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """All `registrar.*` figures, with 100,000 accounts. Raises BenchError when accounts cannot be kept registered at all."""
    busy = max(_BUSY_LEAST, int(_BUSY_ACCOUNTS * scale))
    progress.title(f"registrar: what a refresh costs, {busy} accounts")
    cost = _refresh(home, repository, busy, progress)
    progress.title(f"registrar: {int(ACCOUNTS * scale)} accounts held, killed and restarted")
    return [*cost, *_hold(home, repository, int(ACCOUNTS * scale), progress)]


# ------------------------------------------------------------------------------------------------- refreshing


def _refresh(home: Path, repository: Path, count: int, progress: Progress) -> list[Figure]:
    ours = Nightbell(home / "busy", _OURS, repository, pace=_BUSY_PACE)
    peer = StockUac(home / "busy-uac", _PEER, delay=_BUSY_LIFE_PEER // 2)
    rests = _rest(ours, progress), _rest(peer, progress)
    pairs = []
    for _ in range(_BUSY_ROUNDS):
        mine = _refresh_one(ours, count, _BUSY_LIFE, rests[0], progress)
        theirs = _refresh_one(peer, count, _BUSY_LIFE_PEER, rests[1], progress)
        pairs.append((mine, theirs))
    cpu = [(mine.cpu_us, theirs.cpu_us) for mine, theirs in pairs]
    messages = [(mine.messages, theirs.messages) for mine, theirs in pairs]
    return [
        against("registrar.cpu_us", "µs", _PEER_NAME, cpu, 1.3),
        against("registrar.messages_per_refresh", "messages", _PEER_NAME, messages, 0.55),
    ]


def _refresh_one(subject: Subject, count: int, life: int, rest: Idle, progress: Progress) -> Refreshed:
    with _at_pbxs(count, life) as (held, pbx):
        subject.prepare(held)
        subject.process.start()
        try:
            found = rounds.refresh(subject, held, pbx, rest, progress)
        finally:
            subject.process.stop()
    progress.result(f"{subject.name}: {found.per_second:.0f} refreshes a second, {found.cpu_us:.1f} µs each")
    return found


# ---------------------------------------------------------------------------------------------------- holding


def _hold(home: Path, repository: Path, count: int, progress: Progress) -> list[Figure]:
    ours = Nightbell(home / "nightbell", _OURS, repository)
    peer = StockUac(home / "uac", _PEER, delay=max(5, count // 1600))
    with _at_pbxs(count, EXPIRES) as (held, pbx):
        mine, mine_again, first_call = _hold_ours(ours, held, pbx, progress)
    with _at_pbxs(count, EXPIRES) as (held, pbx):
        theirs, theirs_again = _hold_peer(peer, held, pbx, progress)
    return [
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
        _beside(
            "registrar.restart_peak_per_100ms", "REGISTERs", max(1, mine_again.peak), theirs_again.peak, 0.01
        ),
        Figure("registrar.first_call_after_kill_s", round(first_call, 3), "s", goal=5.0),
    ]


def _hold_ours(
    ours: Nightbell, held: Sequence[Account], pbx: FakeRegistrar, progress: Progress
) -> tuple[Held, Restarted, float]:
    rest = _rest(ours, progress)
    ours.prepare(held)
    first_call = FirstCall((ours.address, ours.settings.edge.sip_port), _PHONE, _CALLER)
    first_call.settle_in(ours.settings.projection_db)
    keeper = Keeper(ours.settings.projection_db, ours.settings.edge.events_port)
    keeper.start()
    answered: list[float] = []
    try:
        found = rounds.hold(ours, held, pbx, rest, len(held) / _PACE, progress)
        _tell(ours, found, progress)
        first_call.register(ours.settings.location_db)
        again = rounds.restart(
            ours, len(held), pbx, _WATCH, lambda killed: answered.append(first_call.wait(killed))
        )
        progress.result(f"{ours.name}: after the kill {again}")
    finally:
        ours.process.stop()
        keeper.stop()
        first_call.close()
    return found, again, answered[0]


def _hold_peer(
    peer: StockUac, held: Sequence[Account], pbx: FakeRegistrar, progress: Progress
) -> tuple[Held, Restarted]:
    rest = _rest(peer, progress)
    peer.prepare(held)
    try:
        found = rounds.hold(peer, held, pbx, rest, peer.delay, progress)
        _tell(peer, found, progress)
        again = rounds.restart(peer, len(held), pbx, peer.delay + _WATCH, lambda _: None)
        progress.result(f"{peer.name}: after the kill {again}")
    finally:
        peer.process.stop()
    return found, again


# ----------------------------------------------------------------------------------------------------- shared


@contextmanager
def _at_pbxs(count: int, life: int) -> Iterator[tuple[list[Account], FakeRegistrar]]:
    """Accounts at PBXs that grant ``life`` seconds."""
    with FakeRegistrar(*_PBXS, default={"granted": life}, history=0) as pbx:
        yield numbered(count, pbx.addresses, pbx.ports["udp"]), pbx


def _rest(subject: Subject, progress: Progress) -> Idle:
    rest = rounds.idle(subject)
    progress.step(f"{subject.name}: at rest {100 * rest.cpu:.2f} % of a core, {rest.memory / 1e6:.1f} MB")
    return rest


def _tell(subject: Subject, found: Held, progress: Progress) -> None:
    progress.result(
        f"{subject.name}: {found.held} held, registered in {found.registering_s:.1f} s, then {found.per_second:.0f} refreshes"
        f" a second; {found.bytes_each:.0f} bytes each; {found.changes} changes of Call-ID, tag or CSeq at the PBX"
    )


def _beside(name: str, unit: str, own: float, other: float, goal: float) -> Figure:
    return Figure(name, round(own, 3), unit, _PEER_NAME, round(other, 3), round(own / other, 4), goal)


__all__ = ["ACCOUNTS", "measure"]
