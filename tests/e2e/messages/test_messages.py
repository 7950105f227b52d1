"""Texts between Alice's desk phone at the PBX and Bob's devices at Nightbell, awake and asleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from control.edge import wake_plan
from control.services import people
from demo.phone import Phone
from kemi.wire import TABLE_ACKED, TABLE_AGENT, TABLE_LINE, TABLE_PARKED
from tests.e2e.link import TcpLink
from tests.e2e.scene import ALICE, BOB, Scene, steps_of

TEXT = "Are you there? Ünïcödé"


def has_text(phone: Phone) -> Callable[[], bool]:
    return lambda: phone.texts == [TEXT]


async def messages_wake(scene: Scene) -> None:
    """Bob wants his devices to be woken for messages."""
    with scene.stack.store.write() as session:
        people.choose_pushes(session, "bob", messages=True)
    await scene.stack.eventually(
        lambda: '"messages":true' in (scene.stack.table(TABLE_LINE, f"sip:bob@{scene.stack.domain}") or ""),
        "Kamailio knows that messages wake Bob's devices",
    )


async def test_a_message_reaches_every_device_that_is_awake_and_the_answer_comes_back(scene: Scene) -> None:
    await scene.extension()
    first = await scene.awake("Bob's phone")
    second = await scene.awake("Bob's laptop", transport="tcp")
    alice = await scene.caller()

    assert (await alice.send_message(BOB, TEXT)).status == 202
    await first.phone.until(has_text(first.phone), what="the text at the phone")
    await second.phone.until(has_text(second.phone), what="the text at the laptop")
    assert (await first.phone.send_message(ALICE, "Yes")).status == 202
    await alice.until(lambda: alice.texts == ["Yes"], what="the answer")

    came = await scene.story("message-in", "delivered", number=1)
    assert steps_of(came).count("delivered") == 2
    assert came.summary.startswith("Message delivered after")
    went = await scene.story("message-in", "challenged", "delivered", number=2)
    assert went.head.callee == ALICE
    assert not scene.pushes(first)


async def test_a_message_wakes_a_sleeping_device_and_is_delivered_as_soon_as_it_registers(
    scene: Scene,
) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", provider="fcm", wake_after=0.5)
    await messages_wake(scene)
    alice = await scene.caller()

    await alice.send_message(BOB, TEXT)
    await bob.phone.until(has_text(bob.phone), what="the text")

    story = await scene.story("message-in", "push-accepted", "register", "message-out", "delivered")
    assert story.head.outcome == "delivered"
    (push,) = scene.pushes(bob)
    assert (push.payload["nightbell_type"], push.priority) == ("message", "high")
    assert not bob.phone.invites


async def test_an_awake_device_gets_it_at_once_and_the_sleeping_one_when_it_wakes(scene: Scene) -> None:
    await scene.extension()
    desk = await scene.awake("Bob's desk phone", push=False)
    mobile = await scene.asleep("Bob's phone", provider="fcm", wake_after=1.0)
    tablet = await scene.asleep("Bob's tablet", provider="fcm", wake_after=1.5)
    await messages_wake(scene)
    alice = await scene.caller()

    began = time.monotonic()
    await alice.send_message(BOB, TEXT)
    await desk.phone.until(has_text(desk.phone), what="the text at the desk")
    assert time.monotonic() - began < 0.9
    for handset in (mobile, tablet):
        await handset.phone.until(has_text(handset.phone), what="the text")
    await scene.story("delivered", "register")


async def test_w7_a_phone_that_sleeps_behind_its_binding_is_pushed_to_and_gets_it_by_its_new_flow(
    scene: Scene,
) -> None:
    await scene.extension()
    async with TcpLink(scene.stack.sip_address("tcp"), scene.stack.address) as link:
        bob = await scene.awake("Bob's phone", provider="fcm", transport="tcp", server=link.address)
        await messages_wake(scene)
        alice = await scene.caller()
        await link.cut()

        await alice.send_message(BOB, TEXT)
        await scene.pushed(bob)
        await bob.phone.wake()
        await bob.phone.until(has_text(bob.phone), what="the text")

        story = await scene.story("push-accepted", "register", "delivered")
        assert steps_of(story).count("message-out") == 2
        assert len(scene.pushes(bob)) == 1


async def test_w7_a_phone_that_is_awake_is_not_pushed_to_though_its_person_wants_to_be_woken(
    scene: Scene,
) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's phone", provider="fcm")
    await messages_wake(scene)
    alice = await scene.caller()

    await alice.send_message(BOB, TEXT)
    await bob.phone.until(has_text(bob.phone), what="the text")
    story = await scene.story("delivered")
    await asyncio.sleep(wake_plan.UNHEARD_S + 0.5)  # a push would have left by then

    assert steps_of(story) == ["message-in", "message-out", "delivered"]
    assert steps_of(await scene.story("delivered")) == steps_of(story)
    assert not scene.pushes(bob)


async def test_a_message_that_nobody_wakes_for_is_refused_at_the_deadline(scene: Scene) -> None:
    await scene.extension(wait=2.0)
    bob = await scene.asleep("Bob's phone", provider="fcm", wakes=False)
    await messages_wake(scene)
    alice = await scene.caller()

    await alice.send_message(BOB, TEXT)
    story = await scene.story("message-in", "wake-deadline", "failed", within=8.0)

    assert (story.head.outcome, story.head.code) == ("failed", 480)
    assert story.summary == "Message not delivered: no device took the message in time (480)."
    await bob.phone.wake()
    assert bob.phone.texts == []


async def test_without_the_persons_choice_a_message_wakes_nobody(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", provider="fcm")
    alice = await scene.caller()

    await alice.send_message(BOB, TEXT)
    story = await scene.story("message-in", "failed")

    assert story.summary == "Message not delivered: no device is awake (480)."
    assert not scene.pushes(bob)


async def test_w4_a_message_that_outlives_the_edge_agent_is_pushed_once(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", provider="fcm", wakes=False)
    await messages_wake(scene)
    alice = await scene.caller()
    await alice.send_message(BOB, TEXT)
    await scene.story("push-accepted")
    stack = scene.stack
    before = stack.table(TABLE_AGENT, "boot")
    ((held,),) = (slot["slot"] for slot in stack.rpc("htable.dump", TABLE_PARKED))

    await asyncio.to_thread(stack.edge.kill)
    await asyncio.to_thread(stack.edge.start)
    # Once it says that it has taken charge, the new agent has seen to the push.
    await stack.eventually(
        lambda: stack.table(TABLE_ACKED, held["name"]) not in (None, before), "the new agent is in charge"
    )
    await bob.phone.wake()
    await bob.phone.until(has_text(bob.phone), what="the text")
    await scene.story("delivered")
    assert len(scene.pushes(bob)) == 1
