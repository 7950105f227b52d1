"""Alice and Carol call Bob at the same time, and his only phone sleeps.

Both calls are held for it. One REGISTER brings it both INVITEs; what it does with one of them does not touch the other.
"""

from __future__ import annotations

import asyncio

from demo.phone import Answer, IncomingCall
from tests.e2e.scene import (
    BOB,
    CAROL,
    Scene,
    answered,
    assert_they_hear_each_other,
    call_reference,
    hang_up,
    invites,
)


async def test_one_register_brings_both_calls_and_each_goes_its_own_way(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", wakes=False)
    bob.phone.on_invite = Answer(answer_after=None)
    alice, carol = await scene.caller(), await scene.caller(CAROL)

    from_alice, from_carol = await asyncio.gather(alice.call(BOB), carol.call(BOB))
    await scene.pushed(bob, count=2)
    await bob.phone.wake()
    both = [await bob.phone.incoming(), await bob.phone.incoming()]

    def call_of(name: str) -> IncomingCall:
        (found,) = (call for call in both if name in call.caller)
        return found

    call_of("Alice").answer()
    await answered(from_alice, call_of("Alice"))
    call_of("Carol").refuse(486)
    await from_carol.answered()  # by the voicemail
    await assert_they_hear_each_other(from_alice, call_of("Alice"))

    assert scene.stack.pbx.voicemails()[-1] == (BOB, "BUSY")
    assert len(invites(bob.phone)) == 2
    assert len({call_reference(push) for push in scene.pushes(bob)}) == 2
    await from_carol.hangup()
    await hang_up(from_alice, call_of("Alice"))


async def test_w5_one_caller_gives_up_and_the_other_call_still_rings(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", wakes=False)
    alice, carol = await scene.caller(), await scene.caller(CAROL)
    pbx = scene.stack.pbx
    before = set(pbx.channels())  # of calls that Asterisk is still ending
    from_alice, from_carol = await asyncio.gather(alice.call(BOB), carol.call(BOB))
    await scene.pushed(bob, count=2)

    await from_alice.cancel()
    await scene.stack.eventually(lambda: len(set(pbx.channels()) - before) == 2, "Alice's call is over")
    await bob.phone.wake()
    incoming = await bob.phone.incoming()
    await answered(from_carol, incoming)
    await assert_they_hear_each_other(from_carol, incoming)
    await hang_up(from_carol, incoming)

    assert invites(bob.phone) == [incoming.call_id]
    assert "Carol" in incoming.caller
