"""Who is due when: as a sorted list would have it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kemi.registrar_agenda import NEVER, Agenda, Entry
from tests.unit.kemi.pbx import NOW

_moments = st.floats(0, 30).map(lambda later: NOW + later)


def drain(agenda: Agenda, now: float) -> list[Entry]:
    taken = []
    while (entry := agenda.take(now)) is not None:
        taken.append(entry)
    return taken


def test_nobody_is_due() -> None:
    assert (Agenda().first(), Agenda().take(NOW)) == (NEVER, None)


@given(st.lists(_moments), st.lists(_moments))
def test_everybody_is_taken_at_his_time_and_in_order(dues: list[float], looks: list[float]) -> None:
    agenda, taken = Agenda(), list[Entry]()
    for number, due in enumerate(dues):
        agenda.add(due, f"c{number}")
    for now in [*sorted(looks), NOW + 31]:
        found = drain(agenda, now)
        assert all(due <= now for due, _ in found)
        taken += found
    assert taken == sorted((due, f"c{number}") for number, due in enumerate(dues))


@given(st.lists(_moments, min_size=1))
def test_first_is_never_after_the_first_and_less_than_a_second_before(dues: list[float]) -> None:
    agenda = Agenda()
    for due in dues:
        agenda.add(due, "c")
    assert agenda.first() <= min(dues) < agenda.first() + 1
    agenda.take(agenda.first())  # the look that it asked for
    assert agenda.first() in (NEVER, *dues) or agenda.first() > min(dues)


def test_who_is_added_for_a_time_that_is_over_comes_at_once() -> None:
    agenda = Agenda()
    agenda.add(NOW + 10, "later")
    assert drain(agenda, NOW + 11) == [(NOW + 10, "later")]
    agenda.add(NOW + 3, "before")
    agenda.add_all([(NOW + 2, "held"), (NOW + 9, "held, too")])
    assert drain(agenda, NOW + 11) == [(NOW + 2, "held"), (NOW + 3, "before"), (NOW + 9, "held, too")]
