"""Bob's phone was registered over TCP, and its connection is gone: closed, or dead without a word, or lost while it rang.

A flow that is closed counts as asleep. One that is dead swallows the INVITE: the phone is pushed to, comes back by another flow,
and is rung there. The call never fails because of the dead one.
"""

from __future__ import annotations

from demo.phone import Answer
from tests.e2e.link import TcpLink
from tests.e2e.scene import BOB, Scene, answered, assert_they_hear_each_other, hang_up, invites, steps_of


async def test_w7_a_closed_flow_counts_as_asleep_and_is_removed(scene: Scene) -> None:
    await scene.extension()
    stack = scene.stack
    bob = await scene.awake("Bob's phone", transport="tcp")
    await scene.listen(bob)
    alice = await scene.caller()
    assert stack.bindings(bob.id)

    await bob.phone.sleep()
    await stack.eventually(lambda: not stack.bindings(bob.id), "the binding of the closed flow is removed")
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)

    assert steps_of(await scene.story("push-accepted"))[:2] == ["invite-in", "push-sent"]
    assert invites(bob.phone) == [incoming.call_id]


async def test_w7_a_flow_closed_at_the_moment_of_the_call_does_not_fail_it(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's phone", transport="tcp")
    await scene.listen(bob)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    await bob.phone.sleep()
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def test_w7_a_flow_that_died_without_a_word_swallows_the_invite_and_the_next_one_brings_it(
    scene: Scene,
) -> None:
    await scene.extension()
    stack = scene.stack
    async with TcpLink(stack.sip_address("tcp"), stack.address) as link:
        bob = await scene.awake("Bob's phone", transport="tcp", server=link.address)
        alice = await scene.caller()
        await link.cut()

        outgoing = await alice.call(BOB)
        await scene.pushed(bob)
        await bob.phone.wake()
        incoming = await bob.phone.incoming()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
        await hang_up(outgoing, incoming)

        assert invites(bob.phone) == [incoming.call_id]
        assert len(stack.bindings(bob.id)) == 1
        story = await scene.story("bye")
        assert steps_of(story).count("invite-out") == 2


async def test_w7_a_flow_lost_while_the_phone_rings_is_replaced_and_rings_again(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", transport="tcp")
    bob.phone.on_invite = Answer(answer_after=None)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    first = await bob.phone.incoming()
    await first.ringing()

    await bob.phone.wake()
    second = await bob.phone.incoming()
    second.answer()
    await answered(outgoing, second)
    await assert_they_hear_each_other(outgoing, second)
    await hang_up(outgoing, second)

    assert first.end is not None
    assert (first.end.cause, first.call_id) == ("lost", second.call_id)
