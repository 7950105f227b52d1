"""The register log: equal answers one after the other are one run, however they are told."""

from __future__ import annotations

from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from control.domain.register_log import PBX, Attempt, Run, grouped
from control.domain.register_text import as_dict, as_row

T = 1_800_000_000.0


def attempt(at: float, state: str = "registered", code: int = 200, **more: object) -> Attempt:
    return Attempt(PBX, "c8f2k1", at, state, code, **more)  # type: ignore[arg-type]


STATES = st.sampled_from([("registered", 200), ("refused", 403), ("unreachable", 0)])
HISTORIES = st.lists(st.tuples(STATES, st.floats(0.01, 4000.0), st.floats(0.1, 500.0)), max_size=60)


def history(steps: list[tuple[tuple[str, int], float, float]]) -> list[Attempt]:
    at, found = T, []
    for (state, code), gap, rtt in steps:
        at += gap
        found.append(attempt(at, state, code, rtt_ms=rtt))
    return found


def told(batches: list[list[Attempt]]) -> list[Run]:
    """What is kept when each batch is grouped with the newest run of those before."""
    kept: list[Run] = []
    for batch in batches:
        kept[-1:] = grouped(kept[-1] if kept else None, batch)
    return kept


@given(HISTORIES, st.lists(st.integers(0, 60)))
def test_runs_are_those_of_the_whole_history_however_it_was_cut(
    steps: list[tuple[tuple[str, int], float, float]], cuts: list[int]
) -> None:
    attempts = history(steps)
    edges = sorted({0, len(attempts), *(min(cut, len(attempts)) for cut in cuts)})
    runs = told([attempts[a:b] for a, b in pairwise(edges)])
    expected = [list(group) for _, group in groupby(attempts, key=lambda a: a.news)]
    assert [(run.first_at, run.last.at, run.count) for run in runs] == [
        (group[0].at, group[-1].at, len(group)) for group in expected
    ]
    for run, group in zip(runs, expected, strict=True):
        trips = [a.rtt_ms for a in group]
        assert (run.rtt_min, run.rtt_max) == (min(trips), max(trips))
        assert abs(run.rtt_avg - sum(trips) / len(trips)) < 1e-6


@given(HISTORIES)
def test_a_batch_that_is_told_again_changes_nothing(
    steps: list[tuple[tuple[str, int], float, float]],
) -> None:
    attempts = history(steps)
    once = grouped(None, attempts)
    assert grouped(None, [*attempts, *attempts]) == once


@given(st.integers(1, 10_000))
def test_any_number_of_quiet_refreshes_is_one_run(count: int) -> None:
    runs = grouped(None, (attempt(T + n * 300, rtt_ms=1.0 + n % 3) for n in range(count)))
    assert [(run.count, run.first_at, run.last.at) for run in runs] == [(count, T, T + (count - 1) * 300)]


def test_every_kind_of_news_begins_a_run() -> None:
    news = [
        attempt(T),
        attempt(T + 1, code=403),
        attempt(T + 2, code=403, reason="Forbidden"),
        attempt(T + 3, code=403, reason="Forbidden", why="forbidden"),
        attempt(T + 4, code=403, reason="Forbidden", why="forbidden", contact="<sip:a@b>"),
        attempt(
            T + 5, code=403, reason="Forbidden", why="forbidden", contact="<sip:a@b>", source="192.0.2.1"
        ),
    ]
    assert len(grouped(None, news)) == len(news)


def test_a_run_in_words_and_as_json() -> None:
    (run,) = grouped(None, [attempt(T, rtt_ms=1.0, expires=600), attempt(T + 300, rtt_ms=3.0, expires=590)])
    row = as_row(run)
    assert (row["times"], row["granted"], row["round_trip"]) == (2, "590 s", "1.0 ms … 2.0 ms … 3.0 ms")
    told = as_dict(run)
    assert (told["count"], told["rtt_avg_ms"], told["expires"]) == (2, 2.0, 590)
