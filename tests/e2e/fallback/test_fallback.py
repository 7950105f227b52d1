"""Bob's phone does not wake, and he has said where his calls go then: to Dora's phone, to a number at the PBX, or nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from control.domain.fallback import DEVICE, NUMBER, Fallback
from control.services import fallbacks, people
from demo.pbx.server import HOLD_TONE
from demo.phone import Answer
from kemi.wire import TABLE_LINE, LineDoc
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import (
    BOB,
    CAROL,
    Handset,
    Scene,
    answered,
    assert_they_hear_each_other,
    hang_up,
    invites,
)
from tests.fixtures.webrtc import WebRtcPhone

WAIT = 1.0
RINGS = Answer(answer_after=None)


async def choose(scene: Scene, kind: str, target: str) -> None:
    """Bob's fallback, once Kamailio knows it."""
    stack = scene.stack
    with stack.store.write() as session:
        fallbacks.choose(session, people.get_user(session, "bob"), Fallback(kind, target))

    def known() -> bool:
        line = stack.table(TABLE_LINE, f"sip:bob@{stack.domain}")
        return line is not None and target in LineDoc.decode(line).encode()

    await stack.eventually(known, "Kamailio knows the fallback")


@pytest.fixture(autouse=True)
async def nothing_left(scene: Scene) -> AsyncIterator[None]:
    """However it ends, rtpengine keeps no port for it."""
    yield
    scene.stack.pbx.hang_up_all()
    await nothing_relayed(scene.stack, within=5)


@pytest.fixture
async def bob(scene: Scene) -> Handset:
    await scene.extension(wait=WAIT)
    return await scene.asleep("Bob's phone", wakes=False)


@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "asleep"])
async def test_nobody_wakes_and_another_persons_device_takes_the_call(
    scene: Scene, bob: Handset, asleep: bool
) -> None:
    name = "Dora's phone"
    dora = await (
        scene.asleep(name, person="dora") if asleep else scene.awake(name, person="dora", push=False)
    )
    await choose(scene, DEVICE, dora.id)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await dora.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)

    story = await scene.story("fallback", "answered", "bye")
    told = [beat.detail for beat in story.beats if beat.step.step == "fallback"]
    assert told == [f"No device woke up in time; {dora.id} is rung"]
    assert story.head.outcome == "answered"
    assert invites(dora.phone) == [incoming.call_id]
    assert invites(bob.phone) == []


async def test_s4_another_persons_browser_takes_the_call(scene: Scene, bob: Handset) -> None:
    dora = await scene.awake("Dora's browser", person="dora", transport="wss", kind=WebRtcPhone)
    await choose(scene, DEVICE, dora.id)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await dora.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    assert (await incoming.hold()).status == 200
    assert await outgoing.audio.heard(HOLD_TONE)
    assert (await incoming.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def test_nobody_wakes_and_a_number_is_called_through_the_connection(scene: Scene, bob: Handset) -> None:
    carol = await scene.caller(CAROL)
    await choose(scene, NUMBER, CAROL)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await carol.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    reply = await incoming.hangup()
    assert reply.status == 200
    await outgoing.ended()

    story = await scene.story("fallback", "answered", "device-bye", number=1)
    assert [b.detail for b in story.beats if b.step.step == "fallback"] == [
        f"No device woke up in time; the number {CAROL} is called"
    ]
    assert [b.source.title for b in story.beats if b.step.step in ("answered", "device-bye")] == [
        "Fallback"
    ] * 2


async def test_the_caller_who_gives_up_stops_the_fallback_too(
    scene: Scene, bob: Handset, pbx_trace: PbxTrace
) -> None:
    dora = await scene.awake("Dora's phone", person="dora", push=False)
    dora.phone.on_invite = RINGS
    await choose(scene, DEVICE, dora.id)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await dora.phone.incoming()
    await outgoing.ringing()
    await outgoing.cancel()

    assert (await incoming.ended()).cause == "cancelled"
    await pbx_trace.wait_for("in", "INVITE", 487)
    await scene.story("fallback", "cancelled")


async def test_w2_a_phone_that_wakes_late_joins_the_call_while_its_fallback_rings(
    scene: Scene, bob: Handset
) -> None:
    dora = await scene.awake("Dora's phone", person="dora", push=False)
    dora.phone.on_invite = RINGS
    await choose(scene, DEVICE, dora.id)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    at_doras = await dora.phone.incoming()
    await bob.phone.wake()
    at_bobs = await bob.phone.incoming()
    await answered(outgoing, at_bobs)
    assert (await at_doras.ended()).cause == "cancelled"
    await assert_they_hear_each_other(outgoing, at_bobs)
    await hang_up(outgoing, at_bobs)


async def test_a_fallback_that_declines_ends_the_call_with_its_own_answer(
    scene: Scene, bob: Handset, pbx_trace: PbxTrace
) -> None:
    dora = await scene.awake("Dora's phone", person="dora", push=False)
    dora.phone.on_invite = Answer(status=486)
    await choose(scene, DEVICE, dora.id)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    await outgoing.answered()  # by the voicemail
    await pbx_trace.wait_for("in", "INVITE", 486)
    story = await scene.story("fallback", "failed")
    assert story.head.code == 486
    await outgoing.hangup()


async def test_s4_a_call_that_has_gone_on_to_a_number_is_held_and_resumed(scene: Scene, bob: Handset) -> None:
    carol = await scene.caller(CAROL)
    await choose(scene, NUMBER, CAROL)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await carol.incoming()
    await answered(outgoing, incoming)
    assert (await incoming.hold()).status == 200
    assert (await incoming.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
