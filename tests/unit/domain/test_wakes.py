"""How long a call waits for a phone, as its wakes have taught."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.domain.wakes import (
    CALLED_OFF,
    LATE,
    SLEPT,
    WOKE,
    DeviceWake,
    WaitPolicy,
    times,
    wait_for,
    wait_within,
)

POLICY = WaitPolicy(usual=20, least=12, most=45)
NOW = 1_800_000_000.0


def took(seconds: float, outcome: str = WOKE) -> DeviceWake:
    return DeviceWake(
        "w", "bob-1", "c", NOW, NOW + 20, registered_at=NOW + seconds if seconds else 0.0, outcome=outcome
    )


def test_of_ten_wakes_half_and_nineteen_of_twenty_are_named() -> None:
    found = times([took(float(n)) for n in range(1, 11)])
    assert found is not None
    assert (found.count, found.p50, found.p95) == (10, 5.0, 10.0)


def test_without_a_register_there_are_no_times() -> None:
    assert times([took(0, SLEPT)]) is None


def test_w9_a_phone_that_is_not_known_yet_gets_the_usual_wait() -> None:
    assert wait_for([took(1.0)] * 4, POLICY) is None
    assert wait_within(None, POLICY) == 20


def test_w9_a_phone_that_needs_ten_seconds_gets_twenty() -> None:
    assert wait_for([took(10.0)] * 20, POLICY) == 20


def test_w9_a_fast_phone_is_not_waited_for_less_than_the_least() -> None:
    assert wait_for([took(0.5)] * 20, POLICY) == 12


def test_w9_a_slow_phone_is_waited_for_up_to_the_most() -> None:
    assert wait_for([took(40.0)] * 20, POLICY) == 45


@pytest.mark.parametrize("missed", [took(0, SLEPT), took(25.0, LATE)])
def test_a_wake_that_was_missed_of_late_keeps_the_wait_from_being_shortened(missed: DeviceWake) -> None:
    fast = [took(1.0)] * 19
    assert wait_for([*fast[:3], missed, *fast], POLICY) == 20
    assert wait_for([*fast[:5], missed, *fast], POLICY) == 12 or missed.outcome == LATE


def test_a_call_that_was_called_off_says_nothing_against_the_phone() -> None:
    assert wait_for([took(0, CALLED_OFF), *[took(1.0)] * 19], POLICY) == 12


_WAKES = st.lists(
    st.tuples(st.floats(0.0, 120.0), st.sampled_from([WOKE, LATE, SLEPT, CALLED_OFF, ""])).map(
        lambda pair: took(*pair)
    ),
    max_size=20,
)


@given(_WAKES)
def test_the_wait_is_always_within_the_bounds(wakes: list[DeviceWake]) -> None:
    wait = wait_for(wakes, POLICY)
    assert wait is None or 12 <= wait <= 45


@given(_WAKES, st.integers(0, 19), st.floats(0.1, 60.0))
def test_a_phone_that_is_slower_is_never_waited_for_less(
    wakes: list[DeviceWake], which: int, more: float
) -> None:
    before = wait_for(wakes, POLICY)
    if not wakes or before is None:
        return
    which %= len(wakes)
    if not wakes[which].registered_at:
        return
    slower = replace(wakes[which], registered_at=wakes[which].registered_at + more)
    after = wait_for([*wakes[:which], slower, *wakes[which + 1 :]], POLICY)
    assert after is not None
    assert after >= before


@given(_WAKES)
def test_a_phone_that_wakes_within_its_wait_would_not_have_been_missed(wakes: list[DeviceWake]) -> None:
    found, wait = times(wakes), wait_for(wakes, POLICY)
    if found is not None and wait is not None:
        assert wait >= min(found.p95, 45)


def test_a_wait_found_under_another_policy_is_held_to_the_one_of_today() -> None:
    assert wait_within(60.0, POLICY) == 45
    assert wait_within(8.0, POLICY) == 12
