"""W13: how many calls a minute may push."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control.edge import wake_limits
from control.edge.wake_limits import WakeLimits

NOW = 1_800_000_000.0


def test_w13_a_flood_to_one_person_is_limited_and_the_others_are_not() -> None:
    limits = WakeLimits(3, 0)
    told = [limits.refusal("sip:bob@x", NOW) for _ in range(5)]
    assert [bool(reason) for reason in told] == [False, False, False, True, True]
    assert told[3] == "more than 3 calls a minute for this person"
    assert limits.refusal("sip:carol@x", NOW) == ""


def test_w13_what_a_minute_allows_comes_back_evenly() -> None:
    limits = WakeLimits(6, 0)
    for _ in range(6):
        assert limits.refusal("sip:bob@x", NOW) == ""
    assert limits.refusal("sip:bob@x", NOW + 9) != ""
    assert limits.refusal("sip:bob@x", NOW + 10.1) == ""
    assert limits.refusal("sip:bob@x", NOW + 10.2) != ""


def test_w13_all_together_are_limited_too_and_a_refused_call_costs_its_person_nothing() -> None:
    limits = WakeLimits(2, 2)
    assert [limits.refusal(f"sip:{n}@x", NOW) for n in range(2)] == ["", ""]
    assert limits.refusal("sip:bob@x", NOW) == "more than 2 calls a minute for all together"
    assert [limits.refusal("sip:bob@x", NOW + 60) for _ in range(2)] == ["", ""]


def test_w13_zero_is_no_limit() -> None:
    limits = WakeLimits(0, 0)
    assert {limits.refusal("sip:bob@x", NOW) for _ in range(10_000)} == {""}


def test_w13_people_who_are_not_called_any_more_are_forgotten() -> None:
    limits = WakeLimits(10, 0)
    for n in range(wake_limits._SWEEP + 2):
        limits.refusal(f"sip:{n}@x", NOW)
    limits.refusal("sip:bob@x", NOW + 120)
    assert len(limits._callees) == 1


@given(st.lists(st.floats(0.0, 300.0), min_size=1, max_size=200))
def test_w13_no_minute_ever_has_more_than_twice_the_limit(moments: list[float]) -> None:
    limits = WakeLimits(5, 0)
    allowed = [at for at in sorted(moments) if not limits.refusal("sip:bob@x", NOW + at)]
    for at in allowed:
        assert sum(at <= other < at + 60 for other in allowed) <= 10


def test_a_clock_set_back_gives_nothing() -> None:
    limits = WakeLimits(1, 0)
    assert limits.refusal("sip:bob@x", NOW) == ""
    assert limits.refusal("sip:bob@x", NOW - 3600) != ""
