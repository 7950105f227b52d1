"""How fast one PBX is sent REGISTERs, and when it is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.registrar_pacing import SILENCES, SLOWEST_PER_S, START_PER_S, WINDOW, Pace, Pbx

NOW = 1_800_000_000.0
TICK = 0.02


def second(pace: Pace, now: float) -> int:
    """How many may leave within a second of ticks."""
    taken = 0
    for step in range(50):
        pace.refill(now + step * TICK)
        while pace.take():
            taken += 1
    return taken


def due(pbx: Pbx, now: float) -> list[str]:
    """Who is sent now: taken, asked leave for, and under way from then on."""
    sent = []
    for at, account in pbx.take_due(now):
        if not pbx.may_send(now):
            if pbx.down:
                pbx.hold(at, account, movable=False)
                continue
            pbx.schedule(at, account)
            break
        pbx.in_flight += 1
        sent.append(account)
    return sent


def silences(pbx: Pbx, number: int, now: float) -> None:
    """So many REGISTERs in a row meet silence."""
    for account in range(number):
        pbx.silent(f"c{account}", False, now)


def down() -> Pbx:
    """A PBX that has been silent for long enough at NOW."""
    pbx = Pbx(400.0, NOW - 60)
    silences(pbx, SILENCES, NOW)
    assert pbx.down
    return pbx


# ------------------------------------------------------------------------------------------------------- pace


def test_r1_the_pace_begins_low() -> None:
    pace = Pace(400.0, NOW)
    assert 45 <= second(pace, NOW) <= START_PER_S + 5


def test_a_pbx_that_is_to_be_treated_gently_is_begun_with_even_lower() -> None:
    assert second(Pace(10.0, NOW), NOW) <= 11


def test_r1_a_busy_pace_doubles_in_a_second_and_has_its_limit() -> None:
    pace, sent = Pace(400.0, NOW), []
    for number in range(8):
        sent.append(0)
        for step in range(50):
            pace.refill(NOW + number + step * TICK)
            while pace.take():
                sent[-1] += 1
                pace.answered()
    assert sent[1] > 1.7 * sent[0]
    assert sent[2] > 1.7 * sent[1]
    assert max(sent) <= 405
    assert pace.rate == 400.0


def test_r1_idle_time_is_not_saved_up() -> None:
    pace = Pace(400.0, NOW)
    pace.refill(NOW + 3600)
    taken = 0
    while pace.take():
        taken += 1
    assert taken <= START_PER_S / 10


def test_a_slow_pace_still_moves() -> None:
    pace = Pace(1.0, NOW)
    assert pace.take()
    pace.refill(NOW + 0.5)
    assert not pace.take()
    pace.refill(NOW + 1.0)
    assert pace.take()


def test_trouble_halves_the_pace_once_a_second() -> None:
    pace = Pace(400.0, NOW)
    for _ in range(100):
        pace.burdened(NOW)
    assert pace.rate == START_PER_S / 2
    pace.burdened(NOW + 0.9)
    assert pace.rate == START_PER_S / 2
    pace.burdened(NOW + 1.0)
    assert pace.rate == START_PER_S / 4


def test_the_pace_never_stops_by_itself() -> None:
    pace = Pace(400.0, NOW)
    for later in range(60):
        pace.burdened(NOW + later)
    assert pace.rate == SLOWEST_PER_S


def test_a_clock_that_is_set_back_harms_nothing() -> None:
    pace = Pace(400.0, NOW)
    pace.take()
    pace.refill(NOW - 3600)
    assert not pace.take()
    pace.refill(NOW - 3599)
    assert pace.take()


@given(st.lists(st.tuples(st.sampled_from("rtab"), st.floats(0, 5)), max_size=200))
def test_the_pace_stays_within_its_bounds_whatever_happens(history: list[tuple[str, float]]) -> None:
    pace, now = Pace(400.0, NOW), NOW
    for what, later in history:
        now += later
        match what:
            case "r":
                pace.refill(now)
            case "t":
                pace.take()
            case "a":
                pace.answered()
            case _:
                pace.burdened(now)
        assert SLOWEST_PER_S <= pace.rate <= 400.0


# ---------------------------------------------------------------------------------------------------- who is due


def test_the_longest_due_leaves_first_and_nobody_before_his_time() -> None:
    pbx = Pbx(400.0, NOW)
    for at, account in ((3.0, "later"), (1.0, "first"), (2.0, "second")):
        pbx.schedule(NOW + at, account)
    assert list(pbx.take_due(NOW + 2.5)) == [(NOW + 1.0, "first"), (NOW + 2.0, "second")]
    assert list(pbx.take_due(NOW + 3.0)) == [(NOW + 3.0, "later")]


def test_r1_no_more_than_the_window_is_under_way_at_one_pbx() -> None:
    pbx = Pbx(1e9, NOW)
    pbx.pace.rate = 1e9
    for number in range(WINDOW + 100):
        pbx.schedule(NOW, f"c{number:03}")
    pbx.pace.refill(NOW + 1)
    assert len(due(pbx, NOW + 1)) == WINDOW
    assert due(pbx, NOW + 2) == []
    pbx.in_flight -= 1
    assert len(due(pbx, NOW + 3)) == 1


def test_r1_a_pbx_that_asked_for_a_pause_gets_it() -> None:
    pbx = Pbx(400.0, NOW)
    pbx.schedule(NOW, "c1")
    pbx.pause(NOW + 30, NOW)
    assert due(pbx, NOW + 29.9) == []
    assert due(pbx, NOW + 30) == ["c1"]
    assert pbx.pace.rate == START_PER_S / 2


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    pbx = Pbx(400.0, NOW)
    pbx.schedule(NOW, "c1")
    pbx.pause(NOW + 30, NOW)
    pbx.pause(NOW + 5, NOW)
    assert due(pbx, NOW + 29) == []


# --------------------------------------------------------------------------------------------------- the breaker


def test_a_few_silences_are_no_reason_to_stop() -> None:
    pbx = Pbx(400.0, NOW)
    silences(pbx, SILENCES - 1, NOW)
    pbx.answered()
    silences(pbx, SILENCES - 1, NOW)
    assert not pbx.down


def test_r1_a_pbx_that_is_down_gets_one_probe_after_pauses_that_grow_to_a_minute() -> None:
    pbx = down()
    for number in range(100):
        pbx.schedule(NOW, f"c{number:02}")
    probes, now = [], NOW
    while now < NOW + 300:
        for account in due(pbx, now):
            probes.append(round(now - NOW))
            pbx.in_flight -= 1
            pbx.silent(account, True, now)
        now += 1
    assert probes == [5, 15, 35, 75, 135, 195, 255]


def test_r1_while_anything_is_under_way_no_probe_leaves() -> None:
    pbx = down()
    pbx.in_flight = 1
    pbx.schedule(NOW, "c1")
    assert due(pbx, NOW + 60) == []
    pbx.in_flight = 0
    assert due(pbx, NOW + 60) == ["c1"]


def test_r1_a_pbx_that_comes_back_is_met_with_a_ramp_and_by_all_who_met_silence() -> None:
    pbx = Pbx(400.0, NOW - 60)
    for _ in range(1000):
        pbx.pace.answered()
    assert pbx.pace.rate == 400.0
    silences(pbx, 300, NOW)
    pbx.schedule(NOW, "probe")
    assert due(pbx, NOW + 5) == ["probe"]
    assert pbx.answered() == [f"c{number}" for number in range(300)]
    assert not pbx.down
    assert pbx.pace.rate == START_PER_S
    assert pbx.answered() == [], "each is told once"


def test_r1_an_account_that_alone_is_not_answered_is_made_due_once() -> None:
    pbx = Pbx(400.0, NOW)
    pbx.silent("mute", False, NOW)
    assert pbx.answered() == ["mute"]
    pbx.silent("mute", True, NOW + 10)
    assert pbx.answered() == []


def test_r1_an_account_that_meets_silence_while_the_pbx_is_down_is_made_due_once_however_often() -> None:
    pbx = down()
    pbx.answered()
    silences(pbx, SILENCES, NOW)
    for later in range(100):
        pbx.silent("c1", True, NOW + later)
    assert pbx.answered().count("c1") == 1


def test_the_pauses_between_probes_begin_short_again_after_an_answer() -> None:
    pbx = down()
    for number in range(3):
        pbx.schedule(NOW, f"c{number}")
    assert due(pbx, NOW + 60)
    pbx.in_flight = 0
    pbx.answered()
    silences(pbx, SILENCES, NOW + 100)
    assert due(pbx, NOW + 104) == []
    assert len(due(pbx, NOW + 105)) == 1


def test_who_is_held_waits_for_the_probe_and_comes_back_with_the_answer() -> None:
    pbx = down()
    for number in range(3):
        pbx.schedule(NOW + number, f"c{number}")
    assert due(pbx, NOW + 4) == []
    assert pbx.next_due() == NOW + 5, "there is nothing to look at before"
    (probe,) = due(pbx, NOW + 5)
    pbx.in_flight -= 1
    pbx.answered()
    assert {probe, *due(pbx, NOW + 6)} == {"c0", "c1", "c2"}
    assert pbx.next_due() == float("inf")


def test_who_has_another_next_hop_looks_for_it_at_each_probe() -> None:
    pbx = down()
    for number in range(3):
        pbx.hold(NOW, f"c{number}", movable=True)
    assert list(pbx.take_due(NOW + 4)) == []
    assert len(list(pbx.take_due(NOW + 5))) == 3


@pytest.mark.parametrize("seconds", [0, 10, 3600])
def test_r1_a_pbx_that_is_down_may_ask_for_a_pause_too(seconds: int) -> None:
    pbx = down()
    pbx.schedule(NOW, "c1")
    pbx.pause(NOW + seconds, NOW)
    assert due(pbx, NOW + max(5, seconds) - 0.1) == []
    assert due(pbx, NOW + max(5, seconds)) == ["c1"]
