"""A device that refreshes by itself, and does not, is reminded by push: at the right time, ever less often, never in vain."""

from __future__ import annotations

import asyncio

import pytest

from control.domain.push import Outcome, Purpose, PushNotice, PushToken, Verdict
from control.domain.reminder import Reminder
from control.edge.recorder import ReminderOver, ReminderWanted
from control.edge.reminders import AT_ONCE, Reminders
from control.edge.token_lessons import Lesson, TokenLessons
from control.edge.tokens import TokenBook
from kemi.wire import RegisterEvent

NOW = 1_800_000_000.0
ALICE = "alice-k7f3qd"
TOKEN = PushToken("fcm", "1", "production", "t1")
IPHONE = PushToken("apns", "org.example.phone.voip", "production", "aa11")


class Desk:
    """Reminders with everything around them in memory."""

    def __init__(self) -> None:
        self.now = NOW
        self.sent: list[tuple[float, PushToken, PushNotice]] = []
        self.written: list[ReminderWanted | ReminderOver] = []
        self.lessons: list[Lesson] = []
        self.verdict = Verdict(Outcome.DELIVERED, 200)
        self.tokens = TokenBook()
        self.tokens.put(ALICE, [TOKEN], NOW - 60)
        self.reminders = Reminders(
            tokens=self.tokens,
            dispatch=self.dispatch,
            remember=self.written.append,
            learn=TokenLessons(self.tokens, self.lessons.append, lambda: self.now).learn,
            now=lambda: self.now,
        )

    async def dispatch(self, token: PushToken, notice: PushNotice) -> Verdict:
        self.sent.append((self.now - NOW, token, notice))
        return self.verdict

    def register(self, action: str = "added", granted: int = 600, before: int = 120) -> None:
        event = RegisterEvent(self.now, ALICE, action, 200, granted=granted, refresh_before=before)
        self.reminders.register(event)

    async def until(self, seconds: float) -> None:
        """Let time pass, second by second."""
        while self.now < NOW + seconds:
            self.now += 1
            self.reminders.look()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def times(self) -> list[float]:
        return [at for at, _, _ in self.sent]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_who_does_not_refresh_is_reminded_ever_less_often_until_the_binding_is_gone(desk: Desk) -> None:
    desk.register()
    await desk.until(700)
    assert desk.times() == [492, 502, 522, 562]  # from 108 s before the end, after 10, 20 and 40 s more
    (_, token, notice) = desk.sent[0]
    assert (token, notice.purpose, notice.call, notice.deadline) == (TOKEN, Purpose.REFRESH, "", NOW + 600)
    assert desk.written[-1] == ReminderOver(ALICE)


async def test_who_refreshes_is_left_alone(desk: Desk) -> None:
    desk.register()
    for _ in range(3):
        await desk.until(desk.now - NOW + 480)
        desk.register("refreshed")
    assert desk.sent == []
    assert [type(entry) for entry in desk.written] == [ReminderWanted] * 4


async def test_a_reminder_that_helped_is_the_only_one(desk: Desk) -> None:
    desk.register()
    await desk.until(495)
    desk.register("refreshed")
    await desk.until(900)
    assert desk.times() == [492]


@pytest.mark.parametrize(("action", "before"), [("removed", 0), ("refreshed", 0)])
async def test_who_leaves_or_has_it_no_more_is_not_reminded(desk: Desk, action: str, before: int) -> None:
    desk.register()
    desk.register(action, before=before)
    await desk.until(700)
    assert desk.sent == []
    assert desk.written[-1] == ReminderOver(ALICE)


@pytest.mark.parametrize("action", ["refused", "queried"])
async def test_what_changes_no_binding_changes_no_reminder(desk: Desk, action: str) -> None:
    desk.register()
    desk.register(action, granted=0, before=0)
    await desk.until(495)
    assert len(desk.sent) == 1


async def test_who_has_not_asked_is_never_reminded(desk: Desk) -> None:
    desk.register(before=0)
    await desk.until(700)
    assert (desk.sent, desk.written) == ([], [])


async def test_w5_an_iphone_with_a_token_for_calls_alone_is_not_reminded(desk: Desk) -> None:
    desk.tokens.put(ALICE, [IPHONE], NOW)
    desk.register()
    await desk.until(700)
    assert desk.sent == []


async def test_p2_a_token_that_is_dead_is_dropped_and_reminded_by_no_more(desk: Desk) -> None:
    desk.verdict = Verdict(Outcome.TOKEN_DEAD, 404, "UNREGISTERED")
    desk.register()
    await desk.until(700)
    assert (len(desk.sent), [lesson.device for lesson in desk.lessons]) == (1, [ALICE])


async def test_a_restart_loses_no_reminder_and_knows_nothing_better_than_what_it_has_heard(
    desk: Desk,
) -> None:
    desk.register()
    desk.reminders.load([Reminder(ALICE, NOW + 1, NOW + 50), Reminder("bob", NOW + 5, NOW + 50)])
    desk.tokens.put("bob", [PushToken("fcm", "1", "production", "t2")], NOW)
    await desk.until(12)
    assert [(at, token.token) for at, token, _ in desk.sent] == [(5, "t2")]


async def test_after_a_long_stop_they_do_not_all_leave_at_once(desk: Desk) -> None:
    for number in range(AT_ONCE + 10):
        desk.tokens.put(f"d{number}", [PushToken("fcm", "1", "production", f"t{number}")], NOW)
    desk.reminders.load(Reminder(f"d{n}", NOW - 60, NOW + 60) for n in range(AT_ONCE + 10))
    await desk.until(1)
    assert len(desk.sent) == AT_ONCE
    await desk.until(2)
    assert len(desk.sent) == AT_ONCE + 10


async def test_one_whose_binding_is_gone_is_not_reminded_after_a_restart(desk: Desk) -> None:
    desk.reminders.load([Reminder(ALICE, NOW - 60, NOW - 1)])
    await desk.until(5)
    assert desk.sent == []
