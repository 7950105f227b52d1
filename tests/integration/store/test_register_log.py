"""The register log and the alarms in the database."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from control.domain.connection import ConnectionSpec
from control.domain.register_log import DEVICE, PBX, Attempt
from control.domain.secret import Secret
from control.services import alarms, connections, registrations, upstream
from control.services.registrations import Registered
from control.services.upstream import Upstream
from control.store.models import Registration
from control.store.session import Store

T = 1_800_000_000.0


def attempt(
    at: float, state: str = "registered", code: int = 200, subject: str = "c1", **more: object
) -> Attempt:
    return Attempt(PBX, subject, at, state, code, **more)  # type: ignore[arg-type]


@pytest.fixture
def office(session: Session) -> str:
    return connections.add_connection(session, ConnectionSpec("office", "h", "1002", Secret("pw"))).id


def rows(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Registration)) or 0


def test_ten_thousand_quiet_refreshes_are_one_line(session: Session) -> None:
    attempts = [attempt(T + n * 300, expires=600, rtt_ms=1.0 + n % 5) for n in range(10_000)]
    for start in range(0, len(attempts), 1_000):
        registrations.record(session, attempts[start : start + 1_000])
    (run,) = registrations.of_connection(session, "c1")
    assert (run.count, run.first_at, run.last.at) == (10_000, T, T + 9_999 * 300)
    assert (run.rtt_min, run.rtt_avg, run.rtt_max) == (1.0, 3.0, 5.0)
    assert rows(session) == 1


def test_ten_thousand_quiet_refreshes_of_a_device_are_one_line_too(session: Session) -> None:
    for start in range(0, 10_000, 2_000):
        registrations.record(
            session,
            [
                Registered(T + n * 300, "alice-k7f3qd", "refreshed", 200, "OK", "<sip:a@192.0.2.1>", 600)
                for n in range(start, start + 2_000)
            ],
        )
    (run,) = registrations.of_device(session, "alice-k7f3qd")
    assert run.count == 10_000


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["c1", "c2"]),
            st.sampled_from([("registered", 200), ("refused", 403), ("unreachable", 0)]),
            st.integers(1, 4000),
        ),
        max_size=25,
    ),
    st.lists(st.integers(0, 25), max_size=4),
)
def test_the_log_is_the_history_however_it_was_cut_and_even_told_twice(
    store: Store, steps: list[tuple[str, tuple[str, int], int]], cuts: list[int]
) -> None:
    at, attempts = T, []
    for subject, (state, code), gap in steps:
        at += gap
        attempts.append(attempt(at, state, code, subject))
    edges = sorted({0, len(attempts), *(min(cut, len(attempts)) for cut in cuts)})
    batches = [attempts[a:b] for a, b in pairwise(edges)]
    with store.write() as session:
        session.execute(delete(Registration))
    for batch in [*batches, *batches]:
        with store.write() as session:
            registrations.record(session, batch)
    for subject in ("c1", "c2"):
        own = [a for a in attempts if a.subject == subject]
        groups = [list(group) for _, group in groupby(own, key=lambda a: a.news)]
        with store.read() as session:
            runs = sorted(registrations.of_connection(session, subject), key=lambda run: run.first_at)
        assert [(r.first_at, r.last.at, r.count, r.last.state) for r in runs] == [
            (group[0].at, group[-1].at, len(group), group[0].state) for group in groups
        ]


def test_a_change_that_comes_late_is_a_line_of_its_own(session: Session) -> None:
    registrations.record(session, [attempt(T), attempt(T + 300)])
    registrations.record(session, [attempt(T + 100, "refused", 403)])
    assert {(run.last.state, run.count) for run in registrations.of_connection(session, "c1")} == {
        ("registered", 2),
        ("refused", 1),
    }


def test_the_newest_come_first_and_both_sides_of_a_connection_are_shown(session: Session) -> None:
    inbound = Attempt(DEVICE, "c1", T + 2, "added", 200)
    registrations.record(session, [attempt(T), inbound, attempt(T + 5, "refused", 403)])
    assert [run.last.side for run in registrations.of_connection(session, "c1")] == [PBX, DEVICE, PBX]
    assert registrations.of_connection(session, "c1", limit=1)[0].last.state == "refused"
    assert [run.last.state for run in registrations.of_device(session, "c1")] == ["added"]


def test_what_the_network_says_cannot_break_the_log(session: Session) -> None:
    strange = attempt(T, "x" * 200, reason="bad\x00\r\n" + "y" * 900, why="\ud800")
    registrations.record(session, [strange, attempt(T + 1)])
    assert len(registrations.of_connection(session, "c1")) == 2


def test_a_run_that_goes_on_is_not_pruned(session: Session) -> None:
    registrations.record(session, [attempt(T), attempt(T + 1000), attempt(T, subject="c2")])
    assert registrations.prune(session, T + 500) == 1
    assert registrations.of_connection(session, "c1")[0].count == 2
    assert registrations.of_connection(session, "c2") == []


# --------------------------------------------------------------------------------------- states and alarms


def test_every_report_is_in_the_log_and_the_newest_is_the_state(session: Session, office: str) -> None:
    upstream.record(
        session,
        [
            Upstream(office, T, "registering"),
            Upstream(office, T + 1, "refused", 403, "Forbidden", why="forbidden", rtt_ms=2.0, due=T + 61),
            Upstream("c-removed", T + 1, "refused", 403),
        ],
    )
    state = upstream.states(session)[office]
    assert (state.state, state.why, state.since, state.due) == ("refused", "forbidden", T + 1, T + 61)
    assert [run.last.state for run in registrations.of_connection(session, office)] == [
        "refused",
        "registering",
    ]
    assert registrations.of_connection(session, "c-removed") == []


def test_a_backlog_of_any_size_is_written(session: Session, office: str) -> None:
    strangers = [Upstream(f"c{n}", T, "registered", 200, quiet=True) for n in range(70_000)]
    upstream.record(session, [*strangers, Upstream(office, T, "registered", 200)])
    assert set(upstream.states(session)) == {office}


def test_a_quiet_refresh_goes_on_whatever_the_pbx_said_at_first(session: Session, office: str) -> None:
    upstream.record(session, [Upstream(office, T, "registered", 200, "Welcome", 600, 9.0)])
    for n in range(1, 4):
        quiet = Upstream(office, T + n * 300, "registered", 200, "OK", 590, 3.0, due=T + n * 300, quiet=True)
        upstream.record(session, [quiet])
    (run,) = registrations.of_connection(session, office)
    assert (run.count, run.last.reason, run.last.expires, run.rtt_avg) == (4, "Welcome", 590, 4.5)
    state = upstream.states(session)[office]
    assert (state.reason, state.since, state.due) == ("Welcome", T, T + 900)


@pytest.mark.parametrize("together", [True, False])
def test_a_refresh_that_is_told_after_a_refusal_it_came_before_changes_nothing(
    session: Session, office: str, *, together: bool
) -> None:
    refusal = Upstream(office, T, "refused", 403, "Forbidden", why="forbidden")
    late = Upstream(office, T + 0.5, "registered", 200, "OK", quiet=True)
    for batch in [[refusal, late]] if together else [[refusal], [late]]:
        upstream.record(session, batch)
    assert upstream.states(session)[office].state == "refused"
    assert [run.last.state for run in registrations.of_connection(session, office)] == ["refused"]
    upstream.record(session, [Upstream(office, T + 300, "registered", 200, "OK", quiet=True)])
    assert upstream.states(session)[office].state == "registered", "its own word was lost on the way"


def test_a_state_knows_since_when(session: Session, office: str) -> None:
    for n in range(3):
        upstream.record(session, [Upstream(office, T + n, "registered", 200)])
    assert upstream.states(session)[office].since == T


def test_r2_a_connection_that_stops_is_an_alarm_once_until_it_goes_on(session: Session, office: str) -> None:
    for n in range(3):
        upstream.record(session, [Upstream(office, T + n, "stopped", 401, why="wrong-password")])
    (alarm,) = alarms.latest(session)
    assert (alarm.kind, alarm.subject, alarm.at) == ("registration-stopped", office, T)
    assert "office" in alarm.text
    assert "password" in alarm.text
    upstream.record(session, [Upstream(office, T + 5, "registering")])
    assert alarms.latest(session) == []
    (over,) = alarms.latest(session, cleared=True)
    assert over.cleared_at == T + 5
    upstream.record(session, [Upstream(office, T + 9, "stopped", 401, why="wrong-password")])
    assert len(alarms.latest(session, cleared=True)) == 2


def test_old_alarms_are_pruned_when_they_are_over(session: Session, office: str) -> None:
    alarms.sound(session, "k", "a", "one", T)
    alarms.sound(session, "k", "b", "two", T)
    alarms.clear(session, "k", T + 1, "a")
    assert alarms.prune(session, T + 100) == 1
    assert [alarm.subject for alarm in alarms.latest(session, cleared=True)] == ["b"]
