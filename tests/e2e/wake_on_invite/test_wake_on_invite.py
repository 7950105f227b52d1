"""Alice, at the PBX, calls Bob, whose phone sleeps: no registration at Nightbell, no socket open.

The PBX sends the INVITE to Nightbell, which holds it, pushes, and passes it on as soon as the phone registers. They hear each
other, and the journal tells the whole story.
"""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from demo.media import relayed_packets
from tests.e2e.scene import (
    BOB,
    Scene,
    answered,
    assert_they_hear_each_other,
    call_reference,
    hang_up,
    invites,
    steps_of,
)

STORY = (
    "invite-in",
    "push-sent",
    "push-accepted",
    "register",
    "invite-out",
    "ringing",
    "answered",
    "bye",
)


@pytest.mark.parametrize("transport", ["udp", "tls"])
@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_a_sleeping_phone_is_woken_answers_and_is_heard(
    scene: Scene, provider: str, transport: str
) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", provider=provider, transport=transport)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await assert_audio_goes_through_the_relay(scene, incoming.call_id)
    await hang_up(outgoing, incoming)

    assert invites(bob.phone) == [incoming.call_id]
    (push,) = scene.pushes(bob)
    assert (push.provider, push.status) == (provider, 200)
    story = await scene.story(*STORY)
    assert story.head.outcome == "answered"
    assert story.head.caller == "1001"
    assert story.head.call == call_reference(push)
    assert_in_order(steps_of(story))


async def test_w8_the_caller_hears_ringing_as_soon_as_the_provider_has_the_push(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", wakes=False)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    await outgoing.ringing()

    push = await scene.pushed(bob)
    ringing = await alice.wait_for(lambda m: m.direction == "in" and m.status == 180)
    assert ringing.time >= push.received_at
    await outgoing.cancel()


async def test_w8_without_early_ringing_the_caller_hears_ringing_when_the_phone_rings(scene: Scene) -> None:
    await scene.extension(early_ringing=False)
    bob = await scene.asleep("Bob's phone")
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    await outgoing.ringing()

    at_alice = await alice.wait_for(lambda m: m.direction == "in" and m.status == 180)
    at_bob = await bob.phone.wait_for(lambda m: m.direction == "out" and m.status == 180)
    assert at_alice.time >= at_bob.time


@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_p1_p3_p6_the_push_is_urgent_ends_with_the_wait_and_names_nobody(
    scene: Scene, provider: str
) -> None:
    await scene.extension(wait=4)
    bob = await scene.asleep("Bob's phone", provider=provider, wakes=False)
    alice = await scene.caller()

    began = time.time()
    outgoing = await alice.call(BOB)
    push = await scene.pushed(bob)
    await outgoing.cancel()

    assert push.priority.lower() == {"apns": "10", "fcm": "high"}[provider]
    assert push.push_type == {"apns": "voip", "fcm": "data"}[provider]
    # Both providers count in whole seconds.
    assert began < push.expires_at <= push.received_at + 4 + 1
    told = json.dumps(push.message)
    for secret in ("Alice", "1001", "1002", bob.id, bob.device.user, scene.stack.domain):
        assert secret not in told


async def assert_audio_goes_through_the_relay(scene: Scene, call_id: str) -> None:
    """rtpengine itself has relayed packets of that call."""
    assert await asyncio.to_thread(relayed_packets, scene.stack.settings, call_id) > 0


def assert_in_order(steps: list[str]) -> None:
    """The steps of a woken call, one after the other; only the provider's answer may be overtaken by what it did."""
    positions = [steps.index(step) for step in STORY if step != "push-accepted"]
    assert positions == sorted(positions), steps
    assert steps.index("push-accepted") > steps.index("push-sent")
