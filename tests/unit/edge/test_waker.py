"""The waker's part in a held call: acknowledge, push, order ringing or the end, and note it all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from control.domain.journal import Step
from control.domain.push import ALERT, Outcome, Purpose, PushNotice, PushToken, Verdict
from control.domain.wakes import DeviceWake
from control.edge import waker as waker_module
from control.edge.recorder import TokenDied
from control.edge.token_lessons import Lesson, TokenLessons
from control.edge.tokens import TokenBook
from control.edge.wake_limits import WakeLimits
from control.edge.waker import Waker
from kemi.wire import CallEvent, RegisterEvent, WakeEndEvent, WakeEvent, decode_event

NOW = 1_800_000_000.0
BOOT = "b00t"
ALICE, TABLET = "alice-k7f3qd", "alice-tab9x2"
TOKEN = PushToken("apns", "org.example.phone.voip", "production", "aa11")
DELIVERED = Verdict(Outcome.DELIVERED, 200, "", "apns-id-1")
DEAD = Verdict(Outcome.TOKEN_DEAD, 410, "Unregistered", unregistered_at=NOW - 5)


class Desk:
    """A waker with everything around it in memory; ``answers`` are a provider's, one a push."""

    def __init__(self, limits: WakeLimits | None = None, *, caller_in_push: bool = False) -> None:
        self.records: list[DeviceWake] = []
        self.orders: list[tuple[str | int, ...]] = []
        self.steps: list[Step] = []
        self.pushes: list[PushNotice] = []
        self.pushed_to: list[PushToken] = []
        self.lessons: list[Lesson] = []
        self.answers: list[Verdict | asyncio.Future[Verdict]] = []
        self.now = NOW
        self.tokens = TokenBook()
        self.tokens.put(ALICE, [TOKEN], NOW - 60)
        self.waker = Waker(
            boot=BOOT,
            orders=self,
            tokens=self.tokens,
            dispatch=self.dispatch,
            note=self.steps.append,
            learn=TokenLessons(self.tokens, self.lessons.append, lambda: self.now).learn,
            record=self.records.append,
            limits=WakeLimits(0, 0) if limits is None else limits,
            message_limits=WakeLimits(1, 0, "messages"),
            request_limits=WakeLimits(0, 0, "requests within calls"),
            caller_in_push=caller_in_push,
            now=lambda: self.now,
        )

    def order(self, method: str, *params: str | int) -> None:
        self.orders.append((method, *params))

    async def dispatch(self, token: PushToken, notice: PushNotice) -> Verdict:
        self.pushes.append(notice)
        self.pushed_to.append(token)
        answer = self.answers.pop(0) if self.answers else DELIVERED
        return await answer if isinstance(answer, asyncio.Future) else answer

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(3):
            while not condition():  # noqa: ASYNC110  what is awaited lives in many places
                await asyncio.sleep(0)

    def replies(self) -> list[int | str]:
        return [order[1] for order in self.orders if order[0] == "tm.reply"]

    def told(self) -> list[str]:
        return [step.step for step in self.steps]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


def wake(asleep: list[str] | None = None, ringing: list[str] | None = None) -> WakeEvent:
    return WakeEvent(
        ts=NOW,
        id="z9hG4bK-1",
        call="call-1",
        transaction="17:42",
        deadline=NOW + 20,
        connection="c1",
        aor="sip:alice@nightbell.test",
        asleep=[ALICE] if asleep is None else asleep,
        ringing=ringing or [],
    )


def end(outcome: str, reason: str = "") -> WakeEndEvent:
    return WakeEndEvent(ts=NOW + 1, id="z9hG4bK-1", call="call-1", outcome=outcome, reason=reason)


async def test_a_wake_is_acknowledged_at_once_and_pushed(desk: Desk) -> None:
    desk.waker.wake(wake())
    assert desk.orders == [("htable.sets", "acked", "z9hG4bK-1", BOOT)]
    await desk.until(lambda: "push-accepted" in desk.told())
    assert desk.pushes == [PushNotice("call-1", "z9hG4bK-1", NOW + 20)]
    assert desk.orders[1][:4] == ("tm.reply", 180, "Ringing", "17:42")
    assert [(s.step, s.device, s.provider, s.code, s.reason) for s in desk.steps] == [
        ("push-sent", ALICE, "apns", 0, ""),
        ("push-accepted", ALICE, "apns", 200, "apns apns-id-1"),
    ]


async def test_w8_a_connection_without_early_ringing_hears_nothing_of_the_push(desk: Desk) -> None:
    desk.waker.wake(replace(wake(), early_ringing=False))
    await desk.until(lambda: "push-accepted" in desk.told())
    assert desk.replies() == []


async def test_p1_a_message_is_pushed_to_tokens_that_may_show_one_and_never_as_a_call(desk: Desk) -> None:
    alert = replace(TOKEN, app="org.example.phone", token="bb22", kind=ALERT)
    browser = PushToken("webpush", "key", "", "{}")
    desk.tokens.put(ALICE, [TOKEN, alert], NOW)
    desk.tokens.put(TABLET, [browser], NOW)
    desk.waker.wake(replace(wake([ALICE, TABLET]), purpose="message", early_ringing=False))
    await desk.until(lambda: desk.told().count("push-accepted") == 2)
    assert [notice.purpose for notice in desk.pushes] == [Purpose.MESSAGE] * 2
    assert desk.pushed_to == [alert, browser]
    desk.waker.wake_end(end("answered"))
    await asyncio.sleep(waker_module.CLEAR_AFTER_S + 0.05)
    assert len(desk.pushes) == 2, "a message is not over when it has arrived"
    assert {record.purpose for record in desk.records} == {"message"}, "its wake time is not one of a call"


async def test_w13_a_flood_of_messages_is_limited_and_costs_nobody_a_call() -> None:
    desk = Desk(WakeLimits(1, 0))
    desk.tokens.put(ALICE, [PushToken("fcm", "project", "", "cc33")], NOW)
    for number in range(3):
        desk.waker.wake(replace(wake(), id=f"m{number}", call=f"m{number}", purpose="message"))
    assert [step.reason for step in desk.steps if step.step == "push-withheld"] == [
        "more than 1 messages a minute for this person"
    ] * 2
    desk.waker.wake(wake())
    await desk.until(lambda: len(desk.pushes) == 2)
    assert [notice.purpose for notice in desk.pushes] == [Purpose.MESSAGE, Purpose.CALL]
    await desk.waker.close()


async def test_a_message_for_a_device_that_can_show_none_is_given_up_at_once(desk: Desk) -> None:
    desk.waker.wake(replace(wake(), purpose="message"))
    assert desk.replies() == [599]
    assert desk.pushes == []


async def test_w4_a_wake_told_twice_is_acknowledged_twice_and_pushed_once(desk: Desk) -> None:
    desk.waker.wake(wake())
    desk.waker.wake(wake())
    await desk.until(lambda: "push-accepted" in desk.told())
    assert [order[0] for order in desk.orders].count("htable.sets") == 2
    assert len(desk.pushes) == 1


async def test_a_wake_that_comes_after_its_deadline_is_acknowledged_and_not_pushed(desk: Desk) -> None:
    desk.now = NOW + 20
    desk.waker.wake(wake())
    await asyncio.sleep(0)
    assert desk.orders == [("htable.sets", "acked", "z9hG4bK-1", BOOT)]
    assert desk.pushes == []


async def test_w5_a_copy_of_a_wake_that_arrives_after_its_end_pushes_nothing(desk: Desk) -> None:
    desk.waker.wake_end(end("cancelled"))
    desk.waker.wake(wake())
    await asyncio.sleep(0)
    assert desk.pushes == []


async def test_p2_a_dead_token_is_dropped_and_ends_the_call_if_it_was_the_only_way(desk: Desk) -> None:
    desk.answers = [DEAD]
    desk.waker.wake(wake())
    await desk.until(lambda: desk.replies() == [599])
    (lesson,) = desk.lessons
    assert isinstance(lesson, TokenDied)
    assert (lesson.device, lesson.token, lesson.known_at) == (ALICE, TOKEN, NOW - 5)
    assert desk.tokens.of(ALICE, Purpose.CALL) == ()
    assert desk.told() == ["push-sent", "push-refused", "gave-up"]
    assert desk.steps[1].code == 410
    assert desk.steps[1].reason == "apns Unregistered"
    desk.waker.wake_end(end("given-up"))
    assert desk.told().count("gave-up") == 1


async def test_p2_misconfiguration_of_ours_drops_no_token(desk: Desk) -> None:
    desk.answers = [Verdict(Outcome.MISCONFIGURED, 400, "TopicDisallowed")]
    desk.waker.wake(wake())
    await desk.until(lambda: desk.replies() == [599])
    assert desk.lessons == []
    assert desk.tokens.of(ALICE, Purpose.CALL) == (TOKEN,)


async def test_one_of_two_tokens_being_dead_is_no_reason_to_give_up(desk: Desk) -> None:
    desk.tokens.put(ALICE, [TOKEN, replace(TOKEN, token="bb22")], NOW - 60)
    desk.answers = [DELIVERED, DEAD]
    desk.waker.wake(wake())
    await desk.until(lambda: "push-refused" in desk.told())
    assert desk.replies() == [180]
    assert len(desk.lessons) == 1


async def test_w11_the_caller_gives_up_and_the_push_under_way_is_called_off(desk: Desk) -> None:
    answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    desk.answers = [answer]
    desk.waker.wake(wake())
    await desk.until(lambda: bool(desk.pushes))
    desk.waker.wake_end(end("cancelled", "SIP;cause=487"))
    await desk.until(answer.cancelled)
    await desk.until(lambda: "push-refused" in desk.told())
    assert desk.told() == ["push-sent", "wake-cancelled", "push-refused"]
    assert desk.replies() == []


async def test_a_device_that_comes_before_the_providers_answer_leaves_time_for_it(desk: Desk) -> None:
    answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    desk.answers = [answer]
    desk.waker.wake(wake())
    await desk.until(lambda: bool(desk.pushes))
    desk.waker.register(
        RegisterEvent(ts=NOW + 0.25, device=ALICE, action="added", reply=200, calls=["call-1"])
    )
    answer.set_result(DELIVERED)
    await desk.until(lambda: "push-accepted" in desk.told())
    assert desk.told() == ["push-sent", "register", "push-accepted"]
    assert desk.steps[1].reason == "250 ms after the push"


async def test_w11_a_push_that_stays_open_after_the_device_came_is_called_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waker_module, "VERDICT_GRACE_S", 0.0)
    answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    desk.answers = [answer]
    desk.waker.wake(wake())
    await desk.until(lambda: bool(desk.pushes))
    desk.waker.register(
        RegisterEvent(ts=NOW + 0.25, device=ALICE, action="added", reply=200, calls=["call-1"])
    )
    await desk.until(answer.cancelled)


async def test_w7_a_bound_device_that_stays_silent_is_pushed_to(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.edge.wake_plan.UNHEARD_S", 0.0)
    desk.waker.wake(wake(asleep=[], ringing=[ALICE]))
    assert desk.pushes == []
    await desk.until(lambda: len(desk.pushes) == 1)


async def test_a_bound_device_that_rings_is_left_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control.edge.wake_plan.UNHEARD_S", 0.01)
    desk.waker.wake(wake(asleep=[], ringing=[ALICE]))
    desk.waker.call(CallEvent(ts=NOW, call="call-1", step="ringing", device=ALICE, code=180))
    silent = asyncio.Event()
    asyncio.get_running_loop().call_later(0.03, silent.set)
    await silent.wait()
    assert desk.pushes == []


async def test_w11_a_device_that_rings_before_the_wake_is_known_is_left_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.edge.wake_plan.UNHEARD_S", 0.0)
    desk.waker.call(CallEvent(ts=NOW, call="call-1", step="ringing", device=ALICE, code=180))
    desk.waker.wake(wake(asleep=[], ringing=[ALICE]))
    await asyncio.sleep(0.02)
    assert desk.pushes == []


async def test_w11_a_device_that_registers_before_the_wake_is_known_is_not_pushed_to(desk: Desk) -> None:
    desk.waker.register(
        RegisterEvent(ts=NOW, device=ALICE, action="added", reply=200, contact="sip:a@x", calls=["call-1"])
    )
    desk.waker.wake(wake())
    await asyncio.sleep(0)
    assert desk.pushes == []
    assert desk.told() == ["register"]


async def test_w10_the_waiting_ends_when_the_only_device_refuses(desk: Desk) -> None:
    desk.waker.wake(wake(asleep=[], ringing=[ALICE]))
    desk.waker.call(CallEvent(ts=NOW, call="call-1", step="device-refused", device=ALICE, code=486))
    assert desk.replies() == [599]
    assert desk.told() == []


@pytest.mark.parametrize("code", [482, 487])
async def test_w10_a_branch_that_was_cancelled_or_merged_is_no_refusal(desk: Desk, code: int) -> None:
    desk.waker.wake(wake(asleep=[], ringing=[ALICE]))
    desk.waker.call(CallEvent(ts=NOW, call="call-1", step="device-refused", device=ALICE, code=code))
    assert desk.replies() == []


async def test_a_register_for_a_call_of_an_earlier_incarnation_is_still_told(desk: Desk) -> None:
    desk.waker.register(RegisterEvent(ts=NOW, device=ALICE, action="added", reply=200, calls=["call-0"]))
    assert [(s.call, s.step, s.code) for s in desk.steps] == [("call-0", "register", 200)]


@pytest.mark.parametrize(
    ("outcome", "steps"),
    [("deadline", ["wake-deadline"]), ("given-up", ["gave-up"]), ("cancelled", ["wake-cancelled"])],
)
async def test_the_end_of_a_wake_is_told_as_what_it_was(desk: Desk, outcome: str, steps: list[str]) -> None:
    desk.waker.wake_end(end(outcome))
    assert desk.told() == steps


async def test_closing_ends_the_pushes_under_way(desk: Desk) -> None:
    answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    desk.answers = [answer]
    desk.waker.wake(wake())
    await desk.until(lambda: bool(desk.pushes))
    await desk.waker.close()
    assert answer.cancelled()


async def test_a_wake_costs_less_than_a_millisecond_of_our_own_time_up_to_the_provider(desk: Desk) -> None:
    events = [replace(wake(), id=f"z9hG4bK-{n}", call=f"call-{n}") for n in range(200)]
    datagrams = [event.encode().encode() for event in events]
    spent = time.thread_time()
    for number, datagram in enumerate(datagrams, start=1):
        event = decode_event(datagram)
        assert isinstance(event, WakeEvent)
        desk.waker.wake(event)
        while len(desk.pushes) < number:  # noqa: ASYNC110  the push is a task of its own
            await asyncio.sleep(0)
    assert (time.thread_time() - spent) / len(datagrams) < 0.001


WEB_TOKEN = PushToken("webpush", "BVapidKey", "production", "{}")


@pytest.fixture
async def browser(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Alice's device has a browser's token and an iPhone's; what is over is told at once."""
    monkeypatch.setattr(waker_module, "CLEAR_AFTER_S", 0.0)
    desk.tokens.put(ALICE, [TOKEN, WEB_TOKEN], NOW - 60)
    return desk


@pytest.mark.parametrize("outcome", ["cancelled", "deadline", "answered"])
async def test_p5_w5_a_browser_is_told_that_the_call_is_over_and_an_iphone_never(
    browser: Desk, outcome: str
) -> None:
    browser.waker.wake(wake())
    await browser.until(lambda: browser.told().count("push-accepted") == 2)
    browser.now = NOW + 18
    browser.waker.wake_end(end(outcome))
    browser.waker.wake_end(end(outcome))
    await browser.until(lambda: "clear-sent" in browser.told())
    await asyncio.sleep(0.01)
    over = PushNotice("call-1", "z9hG4bK-1", NOW + 18 + waker_module.CLEAR_S, purpose=Purpose.OVER)
    assert browser.pushes[2:] == [over]
    (told,) = (step for step in browser.steps if step.step == "clear-sent")
    assert (told.device, told.provider, told.code) == (ALICE, "webpush", 200)


async def test_p5_who_answered_is_not_told_that_the_call_is_over(browser: Desk) -> None:
    browser.waker.wake(wake())
    await browser.until(lambda: browser.told().count("push-accepted") == 2)
    browser.waker.wake_end(end("answered"))
    browser.waker.call(CallEvent(ts=NOW, call="call-1", step="answered", device=ALICE, code=200))
    await asyncio.sleep(0.02)
    assert len(browser.pushes) == 2


async def test_p5_a_push_that_was_called_off_may_have_arrived_and_one_that_was_refused_has_not(
    browser: Desk,
) -> None:
    answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    browser.tokens.put(TABLET, [replace(WEB_TOKEN, token="{1}")], NOW - 60)
    browser.tokens.put(ALICE, [WEB_TOKEN], NOW - 60)
    browser.answers = [answer, Verdict(Outcome.REJECTED, 413)]
    browser.waker.wake(wake(asleep=[ALICE, TABLET]))
    await browser.until(lambda: "push-refused" in browser.told())
    browser.waker.wake_end(end("cancelled"))
    await browser.until(lambda: "clear-sent" in browser.told())
    await asyncio.sleep(0.01)
    assert [step.device for step in browser.steps if step.step == "clear-sent"] == [ALICE]


async def test_p5_a_subscription_that_is_gone_when_the_call_is_over_is_dropped(browser: Desk) -> None:
    browser.tokens.put(ALICE, [WEB_TOKEN], NOW - 60)
    browser.answers = [DELIVERED, DEAD]
    browser.waker.wake(wake())
    await browser.until(lambda: "push-accepted" in browser.told())
    browser.waker.wake_end(end("deadline"))
    await browser.until(lambda: bool(browser.lessons))
    assert browser.tokens.of(ALICE, Purpose.CALL) == ()


def record_of(desk: Desk) -> DeviceWake:
    """The last that was recorded."""
    return desk.records[-1]


def registers(at: float = NOW + 3, action: str = "added") -> RegisterEvent:
    return RegisterEvent(ts=at, device=ALICE, action=action, reply=200, calls=["call-1"])


async def test_a_wake_is_recorded_before_the_push_and_at_each_stage(desk: Desk) -> None:
    desk.waker.wake(wake())
    assert [(r.outcome, r.accepted_at, r.deadline) for r in desk.records] == [("", 0.0, NOW + 20)]
    await desk.until(lambda: "push-accepted" in desk.told())
    assert (record_of(desk).accepted_at, record_of(desk).provider) == (NOW, "apns")
    desk.waker.register(registers())
    assert (record_of(desk).outcome, record_of(desk).seconds) == ("woke", 3.0)
    count = len(desk.records)
    desk.waker.wake_end(end("answered"))
    desk.waker.register(registers(NOW + 9, "refreshed"))
    assert len(desk.records) == count


async def test_a_device_that_comes_after_the_deadline_was_late_and_its_time_counts(desk: Desk) -> None:
    desk.waker.wake(wake())
    await desk.until(lambda: "push-accepted" in desk.told())
    desk.waker.wake_end(end("deadline"))
    assert record_of(desk).outcome == "slept"
    desk.waker.register(RegisterEvent(ts=NOW + 24, device=ALICE, action="added", reply=200))
    assert (record_of(desk).outcome, record_of(desk).seconds) == ("late", 24.0)


async def test_a_device_that_unregisters_has_not_woken(desk: Desk) -> None:
    desk.waker.wake(wake())
    desk.waker.register(RegisterEvent(ts=NOW + 1, device=ALICE, action="removed", reply=200))
    assert record_of(desk).outcome == ""


@pytest.mark.parametrize(
    ("outcome", "recorded"),
    [("cancelled", "called-off"), ("answered", "called-off"), ("deadline", "slept")],
)
async def test_a_wake_ends_as_the_call_did(desk: Desk, outcome: str, recorded: str) -> None:
    desk.waker.wake(wake())
    await desk.until(lambda: "push-accepted" in desk.told())
    desk.waker.wake_end(end(outcome))
    assert record_of(desk).outcome == recorded


async def test_a_refused_push_is_recorded_with_the_reason(desk: Desk) -> None:
    desk.answers = [DEAD]
    desk.waker.wake(wake())
    await desk.until(lambda: 599 in desk.replies())
    assert (record_of(desk).outcome, record_of(desk).reason) == ("refused", "Push token is dead")


async def test_w4_three_invites_of_one_call_push_once_and_all_three_ring(desk: Desk) -> None:
    forks = [
        replace(wake(), id=f"w{n}", call=f"call-{n}", transaction=f"{n}:1", fork="f0rk") for n in (1, 2, 3)
    ]
    for event in forks[:2]:
        desk.waker.wake(event)
    await desk.until(lambda: "push-accepted" in desk.told())
    desk.waker.wake(forks[2])
    assert len(desk.pushes) == 1
    assert [order[3] for order in desk.orders if order[0] == "tm.reply"] == ["1:1", "2:1", "3:1"]
    withheld = [(step.call, step.reason) for step in desk.steps if step.step == "push-withheld"]
    assert withheld == [(f"call-{n}", "the same call has had its push") for n in (2, 3)]


async def test_w4_a_push_that_another_fork_still_needs_is_not_called_off(desk: Desk) -> None:
    answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    desk.answers = [answer]
    for n in (1, 2):
        desk.waker.wake(replace(wake(), id=f"w{n}", call=f"call-{n}", transaction=f"{n}:1", fork="f0rk"))
    await desk.until(lambda: bool(desk.pushes))
    desk.waker.wake_end(replace(end("cancelled"), id="w1"))
    answer.set_result(DELIVERED)
    await desk.until(lambda: "push-accepted" in desk.told())
    assert desk.orders[-1][3] == "2:1"


async def test_w4_a_failed_push_ends_the_waiting_of_all_forks(desk: Desk) -> None:
    desk.answers = [DEAD]
    for n in (1, 2):
        desk.waker.wake(replace(wake(), id=f"w{n}", call=f"call-{n}", transaction=f"{n}:1", fork="f0rk"))
    await desk.until(lambda: desk.replies() == [599, 599])
    assert len(desk.pushes) == 1


async def test_the_same_call_tried_again_after_its_end_is_pushed_again(desk: Desk) -> None:
    desk.waker.wake(replace(wake(), fork="f0rk"))
    await desk.until(lambda: "push-accepted" in desk.told())
    desk.waker.wake_end(end("cancelled"))
    desk.waker.wake(replace(wake(), id="w2", call="call-2", fork="f0rk"))
    await desk.until(lambda: len(desk.pushes) == 2)


async def test_w4_an_agent_started_anew_does_not_push_again_what_a_provider_has_taken(desk: Desk) -> None:
    taken = DeviceWake("z9hG4bK-1", ALICE, "call-1", NOW - 2, NOW + 20, "apns", accepted_at=NOW - 1.9)
    desk.waker.resume([taken])
    desk.waker.wake(wake())
    await asyncio.sleep(0)
    assert desk.pushes == []
    assert desk.replies() == [180]
    desk.waker.register(registers(NOW + 1))
    assert (record_of(desk).outcome, record_of(desk).seconds) == ("woke", 3.0)


@pytest.mark.parametrize("purpose", ["message", "request"])
async def test_w4_nor_does_it_for_a_message_or_a_request_within_a_call(purpose: str) -> None:
    first, second = Desk(), Desk()
    held = replace(wake(), purpose=purpose, early_ringing=False)
    for desk in (first, second):
        desk.tokens.put(ALICE, [replace(TOKEN, kind=ALERT)], NOW)
    first.waker.wake(held)
    await first.until(lambda: "push-accepted" in first.told())
    second.waker.resume([first.records[-1]])
    second.waker.wake(held)
    await asyncio.sleep(0)
    assert (len(first.pushes), second.pushes, second.told()) == (1, [], [])


async def test_an_agent_started_anew_pushes_again_when_nobody_knows_whether_it_was_taken(desk: Desk) -> None:
    desk.waker.resume([DeviceWake("z9hG4bK-1", ALICE, "call-1", NOW - 2, NOW + 20)])
    desk.waker.wake(wake())
    await desk.until(lambda: len(desk.pushes) == 1)


async def test_w13_over_the_limit_no_push_leaves_and_the_caller_is_told_why() -> None:
    desk = Desk(WakeLimits(1, 0))
    desk.waker.wake(wake())
    await desk.until(lambda: "push-accepted" in desk.told())
    desk.waker.wake(replace(wake(), id="w2", call="call-2", transaction="18:1"))
    assert len(desk.pushes) == 1
    assert desk.orders[-1][:4] == ("tm.reply", 599, "Too many calls in a minute", "18:1")
    assert [s.reason for s in desk.steps if s.step == "push-withheld"] == [
        "more than 1 calls a minute for this person"
    ]


async def test_w13_over_the_limit_a_device_that_was_sent_the_invite_may_still_answer() -> None:
    desk = Desk(WakeLimits(1, 0))
    desk.waker.wake(wake())
    desk.waker.wake(replace(wake(ringing=[TABLET]), id="w2", call="call-2"))
    assert 599 not in desk.replies()


async def test_w13_several_devices_of_one_call_count_once() -> None:
    desk = Desk(WakeLimits(1, 0))
    desk.tokens.put(TABLET, [replace(TOKEN, token="bb22")], NOW)
    desk.waker.wake(wake([ALICE, TABLET]))
    await desk.until(lambda: len(desk.pushes) == 2)


async def test_p6_a_push_does_not_say_who_calls(desk: Desk) -> None:
    desk.waker.wake(replace(wake(), caller="+4930123", caller_name="Alice"))
    await desk.until(lambda: bool(desk.pushes))
    assert desk.pushes[0].caller is None
    assert "+4930123" not in repr(desk.pushes[0])


@pytest.mark.parametrize(("name", "said"), [("Alice", "Alice"), ("", "+4930123")])
async def test_p6_a_push_says_who_calls_where_that_was_chosen(name: str, said: str) -> None:
    desk = Desk(caller_in_push=True)
    desk.waker.wake(replace(wake(), caller="+4930123", caller_name=name))
    await desk.until(lambda: bool(desk.pushes))
    assert desk.pushes[0].caller == said


async def test_p5_a_browser_is_not_told_that_a_call_is_over_while_another_fork_of_it_rings(
    browser: Desk,
) -> None:
    for n in (1, 2):
        browser.waker.wake(replace(wake(), id=f"w{n}", call=f"call-{n}", transaction=f"{n}:1", fork="f0rk"))
    await browser.until(lambda: browser.told().count("push-accepted") == 2)
    browser.waker.wake_end(replace(end("cancelled"), id="w1"))
    await asyncio.sleep(0.01)
    assert "clear-sent" not in browser.told()
    browser.waker.wake_end(replace(end("cancelled"), id="w2", call="call-2"))
    await browser.until(lambda: "clear-sent" in browser.told())
    assert [notice.call for notice in browser.pushes[2:]] == ["call-1"]


async def test_w5_a_request_within_a_call_never_becomes_a_voip_push(desk: Desk) -> None:
    desk.waker.wake(replace(wake(), purpose="request", early_ringing=False))
    assert desk.pushes == []
    assert desk.orders[-1][:4] == ("tm.reply", 599, "Its push token is for calls alone", "17:42")
    assert [(s.step, s.reason) for s in desk.steps] == [
        ("push-refused", "Its push token is for calls alone"),
        ("gave-up", "Its push token is for calls alone"),
    ]


async def test_a_request_within_a_call_is_pushed_to_the_token_for_everything_else(desk: Desk) -> None:
    alert = replace(TOKEN, app="org.example.phone", token="bb22", kind=ALERT)
    desk.tokens.put(ALICE, [TOKEN, alert], NOW)
    desk.waker.wake(replace(wake(), purpose="request", early_ringing=False))
    await desk.until(lambda: "push-accepted" in desk.told())
    assert desk.pushed_to == [alert]
    assert [notice.purpose for notice in desk.pushes] == [Purpose.REQUEST]
    assert desk.replies() == []


async def test_a_message_that_an_awake_phone_has_taken_needs_no_push_and_no_word_of_waiting(
    desk: Desk,
) -> None:
    desk.waker.wake(replace(wake([], [ALICE]), purpose="message", early_ringing=False))
    desk.waker.call(CallEvent(NOW, "call-1", "delivered", device=ALICE, code=200))
    desk.waker.wake_end(end("answered"))
    assert desk.pushes == []
    assert desk.told() == []
