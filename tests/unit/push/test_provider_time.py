"""A machine's clock beside Google's and Apple's."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from control.domain.push import PushTrouble
from control.push.provider_time import FARTHEST, TOLERATED, ProviderTime

TRUE = 1_800_000_000.0
HOURS = 3600.0


class Machine:
    """Its clock is ``wrong`` by so many seconds; real time goes on by ``passes``."""

    def __init__(self, wrong: float = 0.0) -> None:
        self.wrong, self.passed = wrong, 0.0
        self.told: list[PushTrouble] = []
        self.time = ProviderTime(lambda: self.true + self.wrong, self.told.append, lambda: 77.0 + self.passed)

    @property
    def true(self) -> float:
        return TRUE + self.passed

    def hears(self) -> bool:
        """Whether that was news."""
        before = self.time.ahead
        self.time.heard(formatdate(self.true, usegmt=True))
        return self.time.differs(before)


def test_until_somebody_has_said_better_it_is_our_own() -> None:
    machine = Machine(-2 * HOURS)
    assert machine.time() == machine.time.theirs() == TRUE - 2 * HOURS
    assert machine.told == []


@pytest.mark.parametrize("wrong", [-2 * HOURS, 2 * HOURS, -25 * HOURS, TOLERATED + 1])
def test_p8_a_clock_that_is_far_off_is_put_right_and_our_own_stays_what_it_is(wrong: float) -> None:
    machine = Machine(wrong)
    assert machine.hears()
    assert machine.time.theirs() == TRUE
    assert machine.time() == TRUE + wrong
    machine.passed = 600.0
    assert machine.time.theirs() == TRUE + 600.0
    assert not machine.hears()  # nothing new
    machine.wrong = 0.0  # somebody sets it
    assert machine.time.theirs() == machine.time() == TRUE + 600.0


@pytest.mark.parametrize("wrong", [0.0, 5.0, -TOLERATED + 1])
def test_a_clock_that_is_near_enough_is_followed_to_the_millisecond(wrong: float) -> None:
    machine = Machine(wrong)
    assert not machine.hears()
    assert (machine.time.theirs(), machine.time.ahead) == (TRUE + wrong, 0.0)


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Thu, 99 Foo 2026", formatdate(TRUE + FARTHEST + 99, usegmt=True), "\0"]
)
def test_what_is_no_date_or_too_far_away_is_not_believed(date: str | None) -> None:
    machine = Machine()
    machine.time.heard(date)
    assert machine.time.theirs() == TRUE


def test_p8_the_alarm_says_how_wrong_it_is_once_and_ends_when_the_clock_is_right() -> None:
    machine = Machine(-2 * HOURS)
    for _ in range(3):
        machine.hears()
    (trouble,) = machine.told
    assert (trouble.provider, trouble.about) == ("push", "clock")
    assert "120 minutes slow" in trouble.text
    machine.wrong = TOLERATED - 1  # at the limit, it neither ends nor begins again
    machine.hears()
    assert len(machine.told) == 1
    machine.wrong = 1.0
    machine.hears()
    assert [bool(trouble.text) for trouble in machine.told] == [True, False]
    machine.wrong = TOLERATED - 1
    machine.hears()
    assert len(machine.told) == 2


def test_an_alarm_of_an_earlier_incarnation_ends_with_the_first_answer_to_a_clock_that_is_right() -> None:
    machine = Machine()
    machine.hears()
    assert [(trouble.about, trouble.text) for trouble in machine.told] == [("clock", "")]


def test_what_was_learned_can_be_forgotten() -> None:
    machine = Machine(2 * HOURS)
    machine.hears()
    machine.time.forget()
    assert machine.time.theirs() == TRUE + 2 * HOURS


def test_all_who_are_given_one_share_it() -> None:
    machine = Machine(2 * HOURS)
    assert ProviderTime.of(machine.time) is machine.time
    assert ProviderTime.of(lambda: 5.0)() == 5.0
