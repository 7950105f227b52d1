"""Bob's phone looks awake: it is registered, over UDP, and its binding is good for minutes. In truth its system has frozen it.

The INVITE that goes there meets silence. So Nightbell pushes after a moment, the phone thaws and registers by the very same flow,
and is rung anew, because the first INVITE was lost.
"""

from __future__ import annotations

from tests.e2e.link import UdpLink
from tests.e2e.scene import BOB, Scene, answered, assert_they_hear_each_other, hang_up, invites, steps_of


async def test_w7_a_silent_phone_is_pushed_to_and_rung_anew_by_the_same_flow(scene: Scene) -> None:
    await scene.extension()
    stack = scene.stack
    async with UdpLink(stack.sip_address(), stack.address) as link:
        bob = await scene.awake("Bob's phone", server=link.address)
        binding = stack.bindings(bob.id)
        alice = await scene.caller()
        link.up = False

        outgoing = await alice.call(BOB)
        push = await scene.pushed(bob)
        # The INVITE is sent at 0, 0.5, 1.5 and 3.5 s; Kamailio gives that branch up at 3 s. Three copies are lost.
        await stack.eventually(lambda: link.lost.get("INVITE") == 3, "the INVITE is lost three times")
        link.up = True
        registered = await bob.phone.register()
        assert registered.status == 200
        incoming = await bob.phone.incoming()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
        await hang_up(outgoing, incoming)

        assert stack.bindings(bob.id) == binding
        assert invites(bob.phone) == [incoming.call_id]
        assert scene.pushes(bob) == [push]
        story = await scene.story("push-sent", "register", "bye")
        beats = {beat.step.step: beat for beat in reversed(story.beats)}
        assert 1400 < beats["push-sent"].offset_ms < 2000
        assert steps_of(story).count("invite-out") == 2


async def test_w7_a_silent_phone_that_does_not_come_ends_in_time(scene: Scene) -> None:
    await scene.extension(wait=2.5)
    stack = scene.stack
    async with UdpLink(stack.sip_address(), stack.address) as link:
        bob = await scene.awake("Bob's phone", server=link.address)
        alice = await scene.caller()
        link.up = False

        outgoing = await alice.call(BOB)
        await outgoing.answered()  # by the voicemail
        await outgoing.hangup()

    story = await scene.story("failed")
    assert (story.head.outcome, story.head.code) == ("failed", 480)
    assert len(scene.pushes(bob)) == 1
