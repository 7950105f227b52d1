"""Bob has a browser alone: no registration and no socket, only the subscription that his page has given.

A call wakes it by Web Push. Its notification goes when the call is over, unless it is Bob himself who took the call there. An app
on Android is told, too.
"""

from __future__ import annotations

import json

import pytest

from control.domain.push import Purpose
from demo.sandbox import Push
from tests.e2e.scene import (
    BOB,
    Handset,
    Scene,
    answered,
    assert_they_hear_each_other,
    call_reference,
    hang_up,
    invites,
    steps_of,
)

SLOW = 60.0  # seconds; the page does not open before the call is over


@pytest.fixture
async def bob(scene: Scene) -> Handset:
    """Bob's browser; each test says when its page opens."""
    return await asleep(scene, "webpush")


async def asleep(scene: Scene, provider: str) -> Handset:
    await scene.extension()
    return await scene.asleep("Bob's device", provider=provider, wakes=False)


async def over(scene: Scene, bob: Handset) -> Push:
    push = await scene.pushed(bob, 2)
    assert push.payload["nightbell_type" if push.provider == "fcm" else "type"] == Purpose.OVER
    return push


async def test_a_browser_is_woken_answers_and_is_heard(scene: Scene, bob: Handset) -> None:
    receiver = await scene.listen(bob)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)

    story = await scene.story("push-sent", "push-accepted", "register", "invite-out", "answered", "bye")
    assert story.head.outcome == "answered"
    (push,) = scene.pushes(bob)  # nobody tells the browser that took the call that it is over
    assert (push.provider, push.status, push.priority) == ("webpush", 201, "high")
    assert receiver.showing == [call_reference(push)] == [story.head.call]
    assert "1001" not in json.dumps(push.as_json())
    assert "clear-sent" not in steps_of(story)


@pytest.mark.parametrize(("provider", "status"), [("webpush", 201), ("fcm", 200)])
async def test_p5_the_caller_gives_up_and_the_notification_is_cleared(
    scene: Scene, provider: str, status: int
) -> None:
    bob = await asleep(scene, provider)
    receiver = await scene.listen(bob, wake_after=SLOW)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    call = call_reference(await scene.pushed(bob))
    await receiver.delivered()
    assert receiver.showing == [call]

    await outgoing.cancel()

    await receiver.cleared()
    assert call_reference(await over(scene, bob)) == call
    story = await scene.story("cancelled", "wake-cancelled", "clear-sent")
    (told,) = (beat.step for beat in story.beats if beat.step.step == "clear-sent")
    assert (told.device, told.provider, told.code) == (bob.id, provider, status)
    assert invites(bob.phone) == []


async def test_p5_it_is_answered_elsewhere_and_the_notification_is_cleared(
    scene: Scene, bob: Handset
) -> None:
    receiver = await scene.listen(bob, wake_after=SLOW)
    desk = await scene.awake("Bob's desk phone")
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await receiver.delivered()
    incoming = await desk.phone.incoming()
    await answered(outgoing, incoming)

    await receiver.cleared()
    await over(scene, bob)
    assert scene.pushes(desk) == []
    await hang_up(outgoing, incoming)


async def test_p5_a_browser_that_is_away_finds_that_the_call_is_over_and_not_the_call(
    scene: Scene, bob: Handset
) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await scene.pushed(bob)
    await outgoing.cancel()
    await over(scene, bob)

    receiver = await scene.listen(bob, wake_after=SLOW)
    await receiver.delivered()
    assert [delivery.body["payload"]["type"] for delivery in receiver.deliveries] == ["over"]


async def test_p5_a_browser_that_unsubscribed_is_forgotten(scene: Scene, bob: Handset) -> None:
    scene.stack.sandbox.uninstall(bob.device.token)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await outgoing.answered()  # by the voicemail
    await outgoing.hangup()
    story = await scene.story("push-refused", "gave-up")
    assert story.head.reason == "Push token is dead"
