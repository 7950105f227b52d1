"""The edge agent, which sends the pushes, is killed: before a call comes, or while one is held.

Kamailio holds the call alone. The caller who gives up gets 487 at once, the caller who waits gets 480 in time, and if the device
comes by itself they talk. An agent that is started while the call is held is told of it again, and pushes,
unless a provider has taken the push of its predecessor. Devices that are awake do not notice.
"""

from __future__ import annotations

import asyncio

import pytest

from demo.phone import OutgoingCall, Phone
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import (
    BOB,
    Handset,
    Scene,
    about,
    answered,
    assert_they_hear_each_other,
    hang_up,
    invites,
)

AT_ONCE = 0.3  # seconds
WHEN = ["before the wake", "during the wake"]


async def kill(scene: Scene) -> None:
    """SIGKILL, as by a power cut."""
    await asyncio.to_thread(scene.stack.edge.kill)
    assert not scene.stack.edge.running


async def held_call(scene: Scene, bob: Handset, alice: Phone, pbx_trace: PbxTrace, when: str) -> OutgoingCall:
    """A call from Alice that Nightbell holds, the agent dead."""
    if when == "before the wake":
        await kill(scene)
    outgoing = await alice.call(BOB)
    await pbx_trace.wait_for("in", "INVITE", 100)
    if when == "during the wake":
        await scene.story("push-accepted")
        await kill(scene)
    assert len(scene.pushes(bob)) == (1 if when == "during the wake" else 0)
    return outgoing


@pytest.mark.parametrize("when", WHEN)
async def test_w12_the_caller_gives_up_and_gets_487_at_once(
    scene: Scene, pbx_trace: PbxTrace, when: str
) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", wakes=False)
    outgoing = await held_call(scene, bob, await scene.caller(), pbx_trace, when)

    await outgoing.cancel()

    ended = await pbx_trace.wait_for("in", "INVITE", 487)
    (cancel,) = pbx_trace.messages("out", "CANCEL")
    assert ended.at - cancel.at < AT_ONCE
    late = await bob.phone.wake()
    assert (late.headers.get("Nightbell-Call") or "").endswith(";state=cancelled")
    assert invites(bob.phone) == []


@pytest.mark.parametrize("when", WHEN)
async def test_w12_the_caller_waits_and_gets_480_in_time(
    scene: Scene, pbx_trace: PbxTrace, when: str
) -> None:
    wait = 3.0
    await scene.extension(wait=wait)
    bob = await scene.asleep("Bob's phone", wakes=False)
    outgoing = await held_call(scene, bob, await scene.caller(), pbx_trace, when)

    await outgoing.answered()  # by the voicemail

    invite = await pbx_trace.wait_for("out", "INVITE")
    refused = await pbx_trace.wait_for("in", "INVITE", 480)
    assert refused.at - invite.at == about(wait)
    assert refused.header("Reason") == 'SIP;cause=480;text="No device woke up in time"'
    await outgoing.hangup()


@pytest.mark.parametrize("when", WHEN)
async def test_w12_the_device_comes_all_the_same_and_they_talk(
    scene: Scene, pbx_trace: PbxTrace, when: str
) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", wakes=False)
    outgoing = await held_call(scene, bob, await scene.caller(), pbx_trace, when)

    await bob.phone.wake()
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)

    assert invites(bob.phone) == [incoming.call_id]


@pytest.mark.parametrize("when", WHEN)
async def test_w12_w4_an_agent_started_while_the_call_is_held_is_told_of_it_and_sees_to_one_push(
    scene: Scene, pbx_trace: PbxTrace, when: str
) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", wakes=False)
    outgoing = await held_call(scene, bob, await scene.caller(), pbx_trace, when)

    await asyncio.to_thread(scene.stack.edge.start)

    push = await scene.pushed(bob)
    await scene.listen(bob)  # the provider has kept the pushes for it
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    assert invites(bob.phone) == [incoming.call_id]
    assert scene.pushes(bob) == [push]


async def test_w12_a_call_to_a_device_that_is_awake_works_as_always(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's phone")
    alice = await scene.caller()
    await kill(scene)

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
