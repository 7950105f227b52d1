"""Bob's app is open: his phone is registered at Nightbell, and rings at once, over whatever transport. Nothing is pushed."""

from __future__ import annotations

import pytest

from demo.phone import Answer
from tests.e2e.scene import BOB, Scene, answered, assert_they_hear_each_other, hang_up, invites, steps_of


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "ws", "wss"])
async def test_w1_a_registered_phone_rings_at_once(scene: Scene, transport: str) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's phone", transport=transport)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)

    assert invites(bob.phone) == [incoming.call_id]
    story = await scene.story("bye")
    assert steps_of(story) == ["invite-in", "invite-out", "ringing", "answered", "bye"]
    assert scene.pushes(bob) == []


async def test_w11_a_phone_that_rings_is_not_pushed_to_however_long_it_rings(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's phone")
    bob.phone.on_invite = Answer(answer_after=1.8)  # a phone that says nothing is pushed to after 1.5 s
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)

    assert scene.pushes(bob) == []
    assert invites(bob.phone) == [incoming.call_id]


async def test_a_phone_without_push_rings_as_well(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's desk phone", push=False)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
