"""Somebody calls Bob without end. After so many calls a minute no push leaves for him: a provider would shut us all out.

Each call beyond that ends at once in Bob's voicemail, and the journal says why. Nobody else is held back, and Bob himself is rung
as always while his phone is awake.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.e2e.changed_settings import settings
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, CAROL, Handset, Scene, answered, hang_up, steps_of

A_MINUTE = 2  # calls that may push


@pytest.fixture
async def flooded(scene: Scene) -> AsyncIterator[Handset]:
    """Bob's phone, which has been pushed as often as a minute allows, and sleeps on."""
    async with settings(scene.stack, "wake", calls_per_callee=A_MINUTE):
        await scene.extension()
        bob = await scene.asleep("Bob's phone", wakes=False)
        caller = await scene.caller()
        for count in range(1, A_MINUTE + 1):
            outgoing = await caller.call(BOB)
            await scene.pushed(bob, count)
            await outgoing.cancel()
        await caller.sleep()
        yield bob


async def test_w13_over_the_limit_no_push_leaves_and_the_caller_need_not_wait(
    scene: Scene, flooded: Handset, pbx_trace: PbxTrace
) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    invite = await pbx_trace.wait_for("out", "INVITE")
    refused = await pbx_trace.wait_for("in", "INVITE", 480)
    assert refused.at - invite.at < 1.0  # not after the 20 s of a wait that leads nowhere
    await outgoing.answered()  # by the voicemail
    await outgoing.hangup()

    story = await scene.story("push-withheld", "failed", number=A_MINUTE + 1)
    assert "push-sent" not in steps_of(story)
    (why,) = (beat.step.reason for beat in story.beats if beat.step.step == "push-withheld")
    assert why == f"more than {A_MINUTE} calls a minute for this person"
    assert len(scene.pushes(flooded)) == A_MINUTE


async def test_w13_another_person_is_woken_while_one_is_over_the_limit(
    scene: Scene, flooded: Handset
) -> None:
    await scene.stack.wait_registered(await scene.stack.add_connection(CAROL, "carol"))
    carol = await scene.asleep("Carol's phone", person="carol")
    alice = await scene.caller()
    outgoing = await alice.call(CAROL)
    incoming = await carol.phone.incoming()
    await answered(outgoing, incoming)
    await hang_up(outgoing, incoming)
    assert (len(scene.pushes(carol)), len(scene.pushes(flooded))) == (1, A_MINUTE)


async def test_w13_a_phone_that_is_awake_is_rung_however_often(scene: Scene, flooded: Handset) -> None:
    await flooded.phone.wake()
    alice = await scene.caller()
    for _ in range(A_MINUTE + 1):
        outgoing = await alice.call(BOB)
        incoming = await flooded.phone.incoming()
        await answered(outgoing, incoming)
        await hang_up(outgoing, incoming)
    assert len(scene.pushes(flooded)) == A_MINUTE
