"""What the plan of one held call decides: whom to push to, when to ring, when to give up."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from control.edge.wake_plan import (
    ALL_REFUSED,
    MISCONFIGURED,
    NO_TOKEN,
    NOBODY,
    TOKEN_DEAD,
    UNHEARD_S,
    CancelPush,
    Command,
    GiveUp,
    Listen,
    Push,
    Ring,
    State,
    Unreachable,
    WakePlan,
)

NOW = 1000.0
DEADLINE = 1020.0
ALICE, TABLET = "alice-k7f3qd", "alice-tab9x2"


def begin(
    asleep: list[str],
    ringing: list[str] | None = None,
    pushable: Collection[str] = (ALICE, TABLET),
    *,
    early_ringing: bool = True,
    now: float = NOW,
    seen: Mapping[str, State] | None = None,
) -> tuple[WakePlan, list[Command]]:
    return WakePlan.begin(
        asleep=asleep,
        ringing=ringing or [],
        pushable=lambda device: device in pushable,
        deadline=DEADLINE,
        early_ringing=early_ringing,
        now=now,
        seen=seen,
    )


def test_every_sleeping_device_is_pushed_to_at_once() -> None:
    assert begin([ALICE, TABLET])[1] == [Push(ALICE), Push(TABLET)]


def test_w4_a_device_named_twice_gets_one_push() -> None:
    assert begin([ALICE, ALICE])[1] == [Push(ALICE)]


def test_nothing_is_pushed_once_the_deadline_is_past() -> None:
    plan, commands = begin([ALICE], ["desk"], now=DEADLINE)
    assert commands == []
    assert plan.over


def test_w8_the_caller_hears_ringing_when_a_provider_has_taken_a_push_and_only_once() -> None:
    plan, _ = begin([ALICE, TABLET])
    plan, first = plan.accepted(ALICE)
    plan, second = plan.accepted(TABLET)
    assert (first, second) == ([Ring()], [])


def test_w8_a_connection_without_early_ringing_waits_for_the_device_itself() -> None:
    plan, _ = begin([ALICE], early_ringing=False)
    assert plan.accepted(ALICE)[1] == []


def test_no_180_of_ours_after_the_device_has_rung_by_itself() -> None:
    plan, _ = begin([ALICE, TABLET])
    plan, _ = plan.awake(ALICE, ringing=True)
    assert plan.accepted(TABLET)[1] == []


def test_a_call_nobody_can_be_woken_for_is_given_up_at_once_and_says_why() -> None:
    assert begin([ALICE], pushable=())[1] == [Unreachable(ALICE, NO_TOKEN), GiveUp(NO_TOKEN)]


def test_an_empty_line_is_given_up() -> None:
    assert begin([])[1] == [GiveUp(NOBODY)]


def test_the_last_failure_gives_up_not_the_first() -> None:
    plan, _ = begin([ALICE, TABLET])
    plan, first = plan.failed(ALICE, TOKEN_DEAD)
    plan, second = plan.failed(TABLET, TOKEN_DEAD)
    assert (first, second) == ([], [GiveUp(TOKEN_DEAD)])
    assert plan.over


def test_different_failures_are_summed_up() -> None:
    plan, _ = begin([ALICE, TABLET])
    plan, _ = plan.failed(ALICE, TOKEN_DEAD)
    assert plan.failed(TABLET, MISCONFIGURED)[1] == [GiveUp(NOBODY)]


def test_one_push_taken_is_enough_to_go_on() -> None:
    plan, _ = begin([ALICE, TABLET])
    plan, _ = plan.accepted(ALICE)
    assert plan.failed(TABLET, TOKEN_DEAD)[1] == []


def test_w1_a_call_that_rings_somewhere_is_never_given_up_here() -> None:
    plan, commands = begin([ALICE], ["desk"], pushable=())
    assert commands == [Unreachable(ALICE, NO_TOKEN), Listen("desk", UNHEARD_S)]
    assert plan.unheard("desk", pushable=False, now=NOW + 2)[1] == [Unreachable("desk", NO_TOKEN)]


def test_w7_a_bound_device_that_gives_no_sign_is_pushed_to_as_well() -> None:
    plan, commands = begin([], [ALICE])
    assert commands == [Listen(ALICE, UNHEARD_S)]
    plan, commands = plan.unheard(ALICE, pushable=True, now=NOW + UNHEARD_S)
    assert commands == [Push(ALICE)]
    assert plan.unheard(ALICE, pushable=True, now=NOW + 2)[1] == []


def test_a_bound_device_that_rings_is_not_pushed_to() -> None:
    plan, _ = begin([], [ALICE])
    plan, _ = plan.awake(ALICE, ringing=True)
    assert plan.unheard(ALICE, pushable=True, now=NOW + UNHEARD_S)[1] == []


def test_w10_a_device_that_refuses_leaves_the_others_their_time() -> None:
    plan, _ = begin([ALICE], ["desk"])
    plan, commands = plan.refused("desk")
    assert commands == []
    assert plan.unheard("desk", pushable=True, now=NOW + UNHEARD_S)[1] == []
    assert plan.accepted(ALICE)[1] == [Ring()]


def test_w10_the_last_device_that_refuses_ends_the_waiting() -> None:
    plan, _ = begin([ALICE], ["desk"])
    plan, _ = plan.refused("desk")
    plan, _ = plan.awake(ALICE)
    assert plan.refused(ALICE)[1] == [GiveUp(ALL_REFUSED)]


def test_w10_one_refuses_and_the_other_cannot_be_woken() -> None:
    plan, _ = begin([ALICE], ["desk"])
    plan, _ = plan.failed(ALICE, TOKEN_DEAD)
    assert plan.refused("desk")[1] == [GiveUp(TOKEN_DEAD)]


def test_a_device_that_refused_is_not_awake_again_by_old_news() -> None:
    plan, _ = begin([ALICE, TABLET])
    plan, _ = plan.refused(ALICE)
    plan, _ = plan.awake(ALICE, ringing=True)
    assert plan.failed(TABLET, TOKEN_DEAD)[1] == [GiveUp(TOKEN_DEAD)]


def test_w11_a_device_heard_of_before_the_wake_is_neither_pushed_to_nor_listened_for() -> None:
    _, commands = begin([ALICE], [TABLET], seen={ALICE: State.AWAKE, TABLET: State.AWAKE})
    assert commands == []


def test_w10_a_refusal_heard_of_before_the_wake_counts() -> None:
    assert begin([], ["desk"], seen={"desk": State.REFUSED})[1] == [GiveUp(ALL_REFUSED)]


def test_a_silent_device_is_not_pushed_to_after_the_deadline() -> None:
    plan, _ = begin([], [ALICE])
    assert plan.unheard(ALICE, pushable=True, now=DEADLINE)[1] == []


def test_w11_a_push_under_way_is_cancelled_when_the_call_ends() -> None:
    plan, _ = begin([ALICE, TABLET])
    plan, _ = plan.accepted(TABLET)
    plan, commands = plan.ended()
    assert commands == [CancelPush(ALICE)]
    assert plan.accepted(ALICE)[1] == []
    assert plan.failed(ALICE, TOKEN_DEAD)[1] == []


def test_w11_a_push_to_a_device_that_woke_meanwhile_may_still_hear_its_answer() -> None:
    plan, _ = begin([ALICE])
    plan, commands = plan.awake(ALICE)
    assert commands == [CancelPush(ALICE, at_once=False)]
    assert plan.awake(ALICE)[1] == []


def test_a_late_failure_of_a_device_that_is_awake_does_not_end_the_call() -> None:
    plan, _ = begin([ALICE])
    plan, _ = plan.awake(ALICE)
    assert plan.failed(ALICE, TOKEN_DEAD)[1] == []


def test_nothing_follows_after_giving_up() -> None:
    plan, _ = begin([ALICE], pushable=())
    assert plan.accepted(ALICE)[1] == []
    assert plan.ended()[1] == []


def test_p5_what_shows_a_call_after_its_end_is_cleared_and_not_who_answered_or_refused() -> None:
    plan, _ = begin([ALICE, TABLET, "laptop", "watch"], ["desk"], pushable=(ALICE, TABLET, "laptop", "watch"))
    plan, _ = plan.accepted(ALICE)
    plan, _ = plan.accepted(TABLET)
    plan, _ = plan.awake(TABLET, ringing=True)
    plan, _ = plan.refused("laptop")
    plan, _ = plan.taken("desk")
    plan, _ = plan.ended()
    assert plan.still_showing() == [ALICE, TABLET, "watch"]


def test_p5_that_a_device_answered_may_be_known_after_the_end_and_the_first_one_counts() -> None:
    plan, _ = begin([ALICE, TABLET])
    plan, _ = plan.accepted(ALICE)
    plan, _ = plan.ended()
    plan, _ = plan.taken(ALICE)
    plan, _ = plan.taken(TABLET)
    assert plan.still_showing() == [TABLET]
