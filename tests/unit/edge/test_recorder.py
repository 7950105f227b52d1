"""What the recorder does when the database is well, away, or refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from control.domain.journal import Step
from control.domain.push import PushToken
from control.edge import recorder as recorder_module
from control.edge.db_thread import DbThread
from control.edge.errors import LedgerUnavailableError
from control.edge.projection_db import ProjectionDb
from control.edge.recorder import Entry, Recorder, TokensBrought, UpstreamSeen
from kemi.wire import RefreshEvent, UpstreamDoc, UpstreamEvent


class Book:
    """A ledger in memory that can be away."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.batches = 0
        self.away = False
        self.broken = False

    def write(self, entries: Sequence[Entry]) -> None:
        if self.away:
            raise LedgerUnavailableError("away")
        if self.broken:
            raise RuntimeError("a mistake in the code")
        self.batches += 1
        self.entries += entries


class Bench:
    def __init__(self, path: Path) -> None:
        self.ledger = Book()
        self.file = ProjectionDb(path)
        self.thread = DbThread()
        self.saved: list[tuple[str, int]] = []
        self.learned = 0
        self.recorder = Recorder(
            self.ledger,
            self.file,
            self.thread,
            saved=lambda device, change: self.saved.append((device, change)),
            learned=self.learn,
        )

    def learn(self) -> None:
        self.learned += 1


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "projection.db")
    yield bench
    bench.thread.close()
    bench.file.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110  what is awaited is a thread
            await asyncio.sleep(0.001)


def step(n: int) -> Step:
    return Step("call-1", float(n), "ringing")


def upstream(durable: str, *, learn: bool = False) -> UpstreamSeen:
    event = UpstreamEvent(ts=1.0, connection="c1", state="registered", realm="pbx", durable=durable)
    return UpstreamSeen(event, learn)


async def test_many_steps_become_few_transactions_in_their_order(bench: Bench) -> None:
    running = asyncio.create_task(bench.recorder.run())
    steps = [step(n) for n in range(500)]
    for one in steps:
        bench.recorder.put(one)
    await until(lambda: bench.ledger.entries == steps)
    assert bench.ledger.batches == 1
    running.cancel()


async def test_nothing_is_lost_or_reordered_while_the_database_is_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.001)
    bench.ledger.away = True
    running = asyncio.create_task(bench.recorder.run())
    bench.recorder.put(step(1))
    await until(lambda: bench.recorder.counters["failed"] >= 2)
    bench.recorder.put(step(2))
    bench.ledger.away = False
    await until(lambda: bench.ledger.entries == [step(1), step(2)])
    assert bench.recorder.counters["lost"] == 0
    running.cancel()


async def test_a_backlog_without_end_gives_up_the_oldest_and_counts_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "BACKLOG", 2)
    for n in (1, 2, 3):
        bench.recorder.put(step(n))
    assert await bench.recorder.flush()
    assert bench.ledger.entries == [step(2), step(3)]
    assert bench.recorder.counters["lost"] == 1


async def test_a_batch_that_breaks_the_code_is_counted_and_the_next_is_written(bench: Bench) -> None:
    bench.ledger.broken = True
    bench.recorder.put(step(1))
    assert await bench.recorder.flush()
    bench.ledger.broken = False
    bench.recorder.put(step(2))
    assert await bench.recorder.flush()
    assert bench.ledger.entries == [step(2)]
    assert bench.recorder.counters["lost"] == 1


async def test_r1_the_registrars_state_is_kept_beside_kamailio_even_without_a_database(bench: Bench) -> None:
    bench.ledger.away = True
    bench.recorder.put(upstream("first"))
    bench.recorder.put(upstream("second"))
    assert not await bench.recorder.flush()
    assert bench.file.documents("upstream") == {"c1": "second"}


async def test_r1_a_quiet_refresh_brings_what_is_kept_up_to_date(bench: Bench) -> None:
    kept = UpstreamDoc("registered", "1", 7, 100.0, 200.0, 600, "asterisk", "MD5", "n1", nc=1)
    bench.recorder.put(upstream(kept.encode()))
    assert await bench.recorder.flush()
    bench.recorder.put(
        RefreshEvent(2.0, [["c1", 8, 2, 400.0, 500.0, "", 1.5], ["gone", 1, 1, 1.0, 1.0, "", 1.0]])
    )
    bench.recorder.put(RefreshEvent(3.0, [["c1", 9, 1, 700.0, 800.0, "n2", 1.5]]))
    assert await bench.recorder.flush()
    assert {c: UpstreamDoc.decode(d) for c, d in bench.file.documents("upstream").items()} == {
        "c1": replace(kept, cseq=9, nc=1, due=700.0, expires_at=800.0, nonce="n2")
    }
    bench.recorder.put(RefreshEvent(4.0, [["c1", 10, 2, 900.0, 990.0, "", 1.5]]))
    assert await bench.recorder.flush()
    assert UpstreamDoc.decode(bench.file.documents("upstream")["c1"]).nonce == "n2"


async def test_r1_a_change_of_state_after_a_refresh_is_what_stays(bench: Bench) -> None:
    bench.recorder.put(RefreshEvent(2.0, [["c1", 8, 2, 400.0, 500.0, "", 1.5]]))
    bench.recorder.put(upstream("changed"))
    assert await bench.recorder.flush()
    assert bench.file.documents("upstream") == {"c1": "changed"}


async def test_who_waits_for_a_realm_or_a_token_is_told_once_it_is_written(bench: Bench) -> None:
    token = PushToken("apns", "org.example.phone.voip", "production", "aa11")
    bench.recorder.put(TokensBrought("alice-k7f3qd", (token,), 1.0, 7))
    bench.recorder.put(upstream("", learn=True))
    bench.ledger.away = True
    await bench.recorder.flush()
    assert (bench.saved, bench.learned) == ([], 0)
    bench.ledger.away = False
    await bench.recorder.flush()
    assert (bench.saved, bench.learned) == ([("alice-k7f3qd", 7)], 1)
