"""Bob declines at his desk, or is busy there, while his mobile sleeps.

His desk phone speaks for itself alone: the mobile is woken and may answer. When nobody is left who could, the caller learns it at
once.
"""

from __future__ import annotations

import pytest

from demo.phone import Answer
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, Scene, about, answered, assert_they_hear_each_other, hang_up, invites

REFUSALS = [486, 603]  # busy; declined, as Linphone says it


@pytest.mark.parametrize("status", REFUSALS)
async def test_w10_the_mobile_is_woken_and_answers(scene: Scene, status: int) -> None:
    await scene.extension()
    desk = await scene.awake("Bob's desk phone", push=False)
    mobile = await scene.asleep("Bob's mobile", wake_after=0.5)
    desk.phone.on_invite = Answer(ring_after=None, answer_after=0, status=status)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    at_desk = await desk.phone.incoming()
    await at_desk.ended()
    incoming = await mobile.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)

    assert invites(desk.phone) == invites(mobile.phone) == [incoming.call_id]


async def test_w10_the_mobile_does_not_wake_and_the_desks_answer_counts(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    wait = 2.0
    await scene.extension(wait=wait)
    desk = await scene.awake("Bob's desk phone")
    await scene.asleep("Bob's mobile", wakes=False)
    desk.phone.on_invite = Answer(ring_after=None, answer_after=0, status=486)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    await outgoing.answered()  # by the voicemail

    invite = await pbx_trace.wait_for("out", "INVITE")
    refused = await pbx_trace.wait_for("in", "INVITE", 486)
    assert refused.at - invite.at == about(wait)
    assert scene.stack.pbx.voicemails()[-1] == (BOB, "BUSY")
    assert scene.pushes(desk) == []
    await outgoing.hangup()


@pytest.mark.parametrize("status", REFUSALS)
async def test_w10_the_only_phone_is_woken_declines_and_the_caller_learns_it_at_once(
    scene: Scene, pbx_trace: PbxTrace, status: int
) -> None:
    await scene.extension()
    mobile = await scene.asleep("Bob's mobile")
    mobile.phone.on_invite = Answer(answer_after=0.1, status=status)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await mobile.phone.incoming()
    await incoming.ended()
    declined = (await mobile.phone.wait_for(lambda m: (m.direction, m.status) == ("out", status))).time
    refused = await pbx_trace.wait_for("in", "INVITE", status)

    assert refused.at - declined < 0.5  # not when the wait of 20 s is over
    await outgoing.answered()  # by the voicemail
    await outgoing.hangup()
    await scene.story("device-refused", "failed")


async def test_w10_the_only_phone_is_awake_and_busy_and_the_caller_learns_it_at_once(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    mobile = await scene.awake("Bob's mobile")
    mobile.phone.on_invite = Answer(ring_after=None, answer_after=0, status=486)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    invite = await pbx_trace.wait_for("out", "INVITE")
    refused = await pbx_trace.wait_for("in", "INVITE", 486)

    assert refused.at - invite.at < 0.5
    await outgoing.answered()  # by the voicemail
    await outgoing.hangup()
    assert scene.pushes(mobile) == []
