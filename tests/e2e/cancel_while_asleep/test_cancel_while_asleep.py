"""Alice gives up while Bob's phone is still asleep.

The PBX gets its 487 at once, nothing rings later, and the phone, which its system made show a call because of the push, learns
from the answer to its REGISTER that there is none any more.
"""

from __future__ import annotations

from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, Scene, answered, call_reference, hang_up, invites, steps_of

AT_ONCE = 0.3  # seconds; it takes under a millisecond, on a machine with nothing else to do


async def test_w5_the_pbx_gets_487_and_the_late_phone_learns_it_and_does_not_ring(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", wakes=False)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    push = await scene.pushed(bob)

    await outgoing.cancel()

    ended = await pbx_trace.wait_for("in", "INVITE", 487)
    (cancel,) = pbx_trace.messages("out", "CANCEL")
    assert ended.at - cancel.at < AT_ONCE
    story = await scene.story("cancelled", "wake-cancelled")
    assert (story.head.outcome, story.head.code) == ("cancelled", 487)

    late = await bob.phone.wake()
    assert late.headers.get("Nightbell-Call") == f"{call_reference(push)};state=cancelled"
    again = await bob.phone.register()
    assert again.headers.get("Nightbell-Call") is None

    # Had the cancelled call rung him after all, it would have been before the next one.
    second = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(second, incoming)
    await hang_up(second, incoming)
    assert invites(bob.phone) == [incoming.call_id]
    assert incoming.call_id != cancel.header("Call-ID")


async def test_w5_a_phone_that_already_rings_is_cancelled_on_its_own_branch(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone")
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()

    await outgoing.cancel()

    end = await incoming.ended()
    assert end.cause == "cancelled"
    assert "cause=200" not in end.reason
    await pbx_trace.wait_for("in", "INVITE", 487)
    story = await scene.story("cancelled")
    assert "answered" not in steps_of(story)
