"""Sound before the answer (RFC 3960): announcements of the PBX, and what a device plays to who calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from demo.pbx.server import MILLIWATT_TONE
from demo.phone import Answer, Phone
from demo.phone.call import CallState
from demo.stack import Stack
from tests.e2e.pbx_setup import pbx_numbers
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import (
    BOB,
    CALLEE_TONE,
    CALLER_TONE,
    Handset,
    Scene,
    answered,
    assert_they_hear_each_other,
    hang_up,
)
from tests.fixtures.sdes import SdesPhone
from tests.fixtures.webrtc import WebRtcPhone

ANSWERS_LATE, REFUSES, ECHOES = "694", "695", "696"
ANNOUNCEMENT = 620  # Hz
RINGS = Answer(answer_after=None)

KINDS: dict[str, tuple[type[Phone], str]] = {
    "plain": (Phone, "udp"),
    "sdes": (SdesPhone, "tls"),
    "webrtc": (WebRtcPhone, "wss"),
}
KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def announcements(stack: Stack) -> Iterator[None]:
    """Numbers of the PBX that say something before they answer, if they do."""
    announcement = ("Progress()", f"PlayTones({ANNOUNCEMENT})")
    plan = {
        ANSWERS_LATE: (*announcement, "Wait(2)", "Answer()", "Milliwatt()"),
        REFUSES: (*announcement, "Wait(2)", "Hangup(17)"),
        ECHOES: ("Progress()", "Echo()"),
    }
    with pbx_numbers(stack.pbx, plan):
        yield


async def device(scene: Scene, kind: str, *, asleep: bool = False) -> Handset:
    """Bob's, which rings and waits for what the test tells it."""
    phone, transport = KINDS[kind]
    make = scene.asleep if asleep else scene.awake
    bob = await make(kind, kind=phone, transport=transport)
    bob.phone.on_invite = RINGS
    return bob


def ports(description: bytes) -> list[int]:
    """Where audio is to be sent, by a session description."""
    return [int(port) for port in re.findall(rb"^m=audio (\d+) ", description, re.MULTILINE)]


@KIND
async def test_a_device_hears_what_the_pbx_says_before_it_answers(scene: Scene, kind: str) -> None:
    await scene.extension()
    bob = await device(scene, kind)
    call = await bob.phone.call(ANSWERS_LATE)
    assert await call.audio.heard(ANNOUNCEMENT, 5)
    assert (call.state, call.final) == (CallState.RINGING, None), "it is answered already"
    relay = scene.stack.settings.rtpengine[0]
    (described,) = {m.message.body for m in bob.phone.messages if m.status == 183}
    assert all(relay.rtp_min <= port <= relay.rtp_max + 1 for port in ports(described)), "not by the relay"
    await call.answered()
    assert await call.audio.heard(MILLIWATT_TONE, 5)
    await call.hangup()
    await nothing_relayed(scene.stack)


@KIND
async def test_a_device_is_heard_by_the_pbx_before_it_answers(scene: Scene, kind: str) -> None:
    await scene.extension()
    bob = await device(scene, kind)
    call = await bob.phone.call(ECHOES)
    call.audio.send_tone(CALLER_TONE)
    assert await call.audio.heard(CALLER_TONE, 5)
    assert (call.state, call.final) == (CallState.RINGING, None), "it is answered already"
    await call.cancel()
    await scene.story("cancelled")
    await nothing_relayed(scene.stack)


@KIND
async def test_a_refusal_is_announced_and_leaves_nothing(scene: Scene, kind: str) -> None:
    await scene.extension()
    bob = await device(scene, kind)
    call = await bob.phone.call(REFUSES)
    assert await call.audio.heard(ANNOUNCEMENT, 5)
    assert (await call.ended()).cause == "refused"
    assert call.final is not None
    assert call.final.status == 486
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "woken"])
@KIND
async def test_w1_the_caller_hears_what_a_device_plays_before_it_answers(
    scene: Scene, kind: str, asleep: bool
) -> None:
    await scene.extension()
    bob, alice = await device(scene, kind, asleep=asleep), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await incoming.ringing()
    incoming.audio.send_tone(CALLEE_TONE)
    incoming.progress()
    assert await outgoing.audio.heard(CALLEE_TONE, 5)
    assert outgoing.final is None, "it is answered already"
    incoming.answer()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("winner", ["plain", "webrtc"])
async def test_of_two_that_play_something_the_one_that_answers_is_heard(scene: Scene, winner: str) -> None:
    await scene.extension()
    bobs = {kind: await device(scene, kind) for kind in ("plain", "webrtc")}
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    calls = {kind: await bob.phone.incoming() for kind, bob in bobs.items()}
    for kind, tone in (("plain", 700), ("webrtc", 900)):
        await calls[kind].ringing()
        calls[kind].audio.send_tone(tone)
        calls[kind].progress()
    incoming = calls.pop(winner)
    (loser,) = calls.values()
    incoming.answer()
    await answered(outgoing, incoming)
    assert (await loser.ended()).cause == "cancelled"
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)
