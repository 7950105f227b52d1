"""Bob has a desk phone that is awake and a mobile that sleeps.

The desk phone rings at once, the mobile as soon as its push has woken it. Whoever answers has the call; the other one is told
that somebody did, and whatever comes late changes nothing of what is heard.
"""

from __future__ import annotations

import asyncio

import pytest

from demo.phone import Answer, IncomingCall, OutgoingCall, Phone
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import (
    BOB,
    Handset,
    Scene,
    answered,
    assert_they_hear_each_other,
    call_reference,
    hang_up,
    invites,
)

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
ONLY_RING = Answer(answer_after=None)


async def bobs_two_phones(
    scene: Scene, *, mobile_wakes: bool = True, transport: str = "udp"
) -> tuple[Handset, Handset]:
    """The desk phone, awake, and the mobile, asleep; both ring until told otherwise."""
    await scene.extension()
    desk = await scene.awake("Bob's desk phone", transport=transport)
    mobile = await scene.asleep("Bob's mobile", wakes=mobile_wakes, transport=transport)
    desk.phone.on_invite = mobile.phone.on_invite = ONLY_RING
    return desk, mobile


async def both_ring(
    alice: Phone, desk: Handset, mobile: Handset
) -> tuple[OutgoingCall, IncomingCall, IncomingCall]:
    """Alice calls, and both of Bob's phones ring."""
    outgoing = await alice.call(BOB)
    at_desk, at_mobile = await asyncio.gather(desk.phone.incoming(), mobile.phone.incoming())
    await asyncio.gather(at_desk.ringing(), at_mobile.ringing())
    return outgoing, at_desk, at_mobile


async def test_w1_w6_the_awake_one_answers_and_the_woken_one_is_told(scene: Scene) -> None:
    desk, mobile = await bobs_two_phones(scene)
    outgoing, at_desk, at_mobile = await both_ring(await scene.caller(), desk, mobile)

    at_desk.answer()
    await answered(outgoing, at_desk)
    end = await at_mobile.ended()

    assert (end.cause, end.reason) == ("cancelled", ELSEWHERE)
    await assert_they_hear_each_other(outgoing, at_desk)
    await hang_up(outgoing, at_desk)
    assert invites(desk.phone) == invites(mobile.phone) == [at_desk.call_id]
    assert scene.pushes(desk) == []


async def test_w6_the_woken_one_answers_and_the_awake_one_is_told(scene: Scene) -> None:
    desk, mobile = await bobs_two_phones(scene)
    outgoing, at_desk, at_mobile = await both_ring(await scene.caller(), desk, mobile)

    at_mobile.answer()
    await answered(outgoing, at_mobile)
    end = await at_desk.ended()

    assert (end.cause, end.reason) == ("cancelled", ELSEWHERE)
    await assert_they_hear_each_other(outgoing, at_mobile)
    await hang_up(outgoing, at_mobile)
    assert invites(desk.phone) == invites(mobile.phone) == [at_desk.call_id]


async def test_w6_a_mobile_that_wakes_after_the_answer_learns_it_and_disturbs_nothing(scene: Scene) -> None:
    desk, mobile = await bobs_two_phones(scene, mobile_wakes=False)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    push = await scene.pushed(mobile)
    at_desk = await desk.phone.incoming()
    at_desk.answer()
    await answered(outgoing, at_desk)
    await assert_they_hear_each_other(outgoing, at_desk)

    registered = await mobile.phone.wake()

    assert registered.headers.get("Nightbell-Call") == f"{call_reference(push)};state=answered"
    await assert_they_hear_each_other(outgoing, at_desk)
    await hang_up(outgoing, at_desk)
    assert invites(mobile.phone) == []


@pytest.mark.parametrize("transport", ["udp", "tls", "ws"])
async def test_w6_both_answer_in_the_same_moment_and_one_of_them_has_the_call(
    scene: Scene, pbx_trace: PbxTrace, transport: str
) -> None:
    desk, mobile = await bobs_two_phones(scene, transport=transport)
    outgoing, at_desk, at_mobile = await both_ring(await scene.caller(), desk, mobile)

    at_desk.answer()
    at_mobile.answer()
    await outgoing.answered()
    both = (at_desk, at_mobile)
    await scene.stack.eventually(lambda: at_desk.end or at_mobile.end, "one of the two is sent away", 3.0)
    loser, winner = sorted(both, key=lambda call: call.end is None)

    assert loser.end is not None
    assert loser.end.cause == "bye"
    await winner.answered()
    await assert_they_hear_each_other(outgoing, winner)
    await hang_up(outgoing, winner)
    assert len(pbx_trace.messages("in", "INVITE", 200)) == 1
