"""Somebody leaves Bob a voice message: the lamp of his desk phone, the alert on his sleeping mobile, the lamp when it wakes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from control.domain.register_log import Attempt
from control.services import mailboxes, people, registrations
from demo.phone import Phone
from demo.stack import Stack
from kemi.wire import TABLE_LINE
from tests.e2e.scene import BOB, Handset, Scene


@pytest.fixture(autouse=True)
def empty_mailbox(stack: Stack) -> Iterator[None]:
    stack.pbx.empty_mailbox(BOB)
    yield
    stack.pbx.empty_mailbox(BOB)


def summaries(phone: Phone) -> list[str]:
    """The second line of each summary that came in, as Nightbell writes it."""
    return [
        recorded.message.body.decode().split("\r\n")[1]
        for recorded in phone.messages
        if recorded.direction == "in" and getattr(recorded.message, "method", "") == "NOTIFY"
    ]


def was_told(phone: Phone, *lines: str) -> Callable[[], bool]:
    return lambda: summaries(phone)[-len(lines) :] == list(lines)


def told(stack: Stack, handset: Handset) -> Attempt | None:
    """What the register log has of voice messages."""
    with stack.store.read() as session:
        runs = registrations.of_device(session, handset.id)
    return next((run.last for run in runs if run.last.state.startswith("voicemail")), None)


async def test_a_voice_message_is_told_to_who_is_awake_pushed_to_who_sleeps_and_told_when_it_wakes(
    scene: Scene,
) -> None:
    stack = scene.stack
    await scene.extension()
    desk = await scene.awake("Bob's desk phone", push=False)
    laptop = await scene.awake("Bob's laptop", transport="wss", push=False)
    mobile = await scene.asleep("Bob's phone", provider="fcm", wakes=False)
    with stack.store.write() as session:
        people.choose_pushes(session, "bob", voicemail=True)
    await stack.eventually(
        lambda: '"voicemail":true' in (stack.table(TABLE_LINE, f"sip:bob@{stack.domain}") or ""),
        "Kamailio knows that Bob is told of voice messages",
    )

    stack.pbx.leave_message(BOB)

    for handset in (desk, laptop):
        await handset.phone.until(was_told(handset.phone, "Voice-Message: 1/0 (0/0)"), what="the lamp")
    await scene.pushed(mobile)
    log = await stack.eventually(lambda: told(stack, mobile), "the register log tells of the push")
    assert (log.state, log.reason.partition(" ")[0]) == ("voicemail-pushed", "fcm")
    assert (await mobile.phone.wake()).status == 200
    await mobile.phone.until(was_told(mobile.phone, "Voice-Message: 1/0 (0/0)"), what="the lamp")

    stack.pbx.empty_mailbox(BOB)

    for handset in (desk, laptop, mobile):
        await handset.phone.until(was_told(handset.phone, "Voice-Message: 0/0 (0/0)"), what="no lamp")
    assert len(scene.pushes(mobile)) == 1, "that messages were heard is no news"


def bound_on_disk(stack: Stack, handset: Handset) -> bool:
    with closing(sqlite3.connect(f"file:{stack.settings.location_db}?mode=ro", uri=True)) as database:
        query = "select 1 from location where username = ?"
        return database.execute(query, (handset.id,)).fetchone() is not None


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
async def test_what_is_in_the_mailbox_is_known_after_kamailios_restart_and_shown_to_people(
    scene: Scene, how: str
) -> None:
    stack = scene.stack
    await scene.extension()
    mobile = await scene.asleep("Bob's phone", provider="fcm", wakes=False)
    stack.pbx.leave_message(BOB)

    def words() -> list[str]:
        with stack.store.read() as session:
            return [mailbox.words for mailbox in mailboxes.of_users(session, ["bob"]).get("bob", ())]

    await stack.eventually(lambda: words() == ["1 new voice message"], "the mailbox is written down")
    await stack.eventually(
        lambda: not bound_on_disk(stack, mobile), "that the phone is asleep is written down"
    )
    if how == "SIGKILL":
        stack.kamailio.kill()
    else:
        stack.kamailio.stop()
    stack.kamailio.start()

    await mobile.phone.wake()
    await mobile.phone.until(was_told(mobile.phone, "Voice-Message: 1/0 (0/0)"), what="the lamp")


async def test_a_phone_that_left_and_is_back_at_once_is_there_anew(scene: Scene) -> None:
    stack = scene.stack
    await scene.extension()
    mobile = await scene.awake("Bob's phone", provider="fcm")

    def written_down() -> bool:
        with closing(sqlite3.connect(stack.settings.location_db)) as database:
            found = database.execute("SELECT 1 FROM location WHERE username = ?", [mobile.id]).fetchone()
            return found is not None

    await stack.eventually(written_down, "Kamailio has written the binding down")
    stack.pbx.leave_message(BOB)
    await mobile.phone.until(was_told(mobile.phone, "Voice-Message: 1/0 (0/0)"), what="the lamp")
    before = len(summaries(mobile.phone))

    await mobile.phone.unregister()
    assert (await mobile.phone.register()).status == 200

    await mobile.phone.until(lambda: len(summaries(mobile.phone)) > before, what="the lamp, anew")
