"""When a call is over its journal says how its audio was, and which side is at fault when there was none."""

from __future__ import annotations

import asyncio
import json

import pytest

from control.domain.quality import Audio
from control.domain.story import Story
from control.domain.story_json import story_as_dict
from control.domain.story_text import as_text
from demo.phone import Answer, Call
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, hang_up

ECHO = "600"
TALK = 1.2  # s; less than one second is too short to tell


async def measured(scene: Scene) -> Story:
    """The journal of the call once its audio is in it."""

    def complete() -> Story | None:
        story = scene.stack.story()
        return story if story and story.quality and story.head.ended_at else None

    found = await scene.stack.eventually(complete, "the journal has the call's audio", 3.0)
    assert isinstance(found, Story)
    return found


async def test_both_sides_were_heard(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await asyncio.sleep(TALK)
    await hang_up(outgoing, incoming)

    story = await measured(scene)
    assert story.verdict is not None
    assert story.verdict.audio is Audio.GOOD
    assert story.quality is not None
    assert min(leg.packets for leg in story.quality.legs) > 40
    assert {leg.codec for leg in story.quality.legs} == {"PCMU/8000"}
    assert "Both sides were heard." in as_text(story)
    assert json.loads(json.dumps(story_as_dict(story)))["audio"]["device"]["packets"] > 40
    await nothing_relayed(scene.stack, within=1.0)


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("who", ["device", "PBX", "device and PBX"])
async def test_the_side_that_sent_nothing_is_named(scene: Scene, direction: str, who: str) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    # Alice's phone stands for the PBX: what it does not send, Asterisk has nothing to pass on of.
    if direction == "in":
        outgoing, incoming = await alice.call(BOB), await bob.phone.incoming()
        device: Call = incoming
        pbx: Call = outgoing
    else:
        outgoing, incoming = await bob.phone.call(ALICE), await alice.incoming()
        device, pbx = outgoing, incoming
    if "device" in who:
        device.audio.never_send()
    if "PBX" in who:
        pbx.audio.never_send()
    await answered(outgoing, incoming)
    await asyncio.sleep(TALK)
    await hang_up(outgoing, incoming)

    story = await measured(scene)
    expected = {
        "device": "One-way audio: the device sent nothing.",
        "PBX": "One-way audio: the PBX sent nothing.",
        "device and PBX": "No audio: neither the device nor the PBX sent anything.",
    }[who]
    assert story.summary.endswith(expected)
    assert expected in as_text(story)


async def test_a_call_that_rang_elsewhere_too_is_measured_where_it_was_answered(scene: Scene) -> None:
    await scene.extension()
    phone, tablet, alice = await scene.awake("phone"), await scene.awake("tablet"), await scene.caller()
    tablet.phone.on_invite = Answer(answer_after=None)
    outgoing = await alice.call(BOB)
    incoming = await phone.phone.incoming()
    await answered(outgoing, incoming)
    await asyncio.sleep(TALK)
    await hang_up(outgoing, incoming)

    story = await measured(scene)
    assert story.verdict is not None
    assert story.verdict.audio is Audio.GOOD


async def test_without_an_edge_agent_the_ports_are_free_all_the_same(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    call = await bob.phone.call(ECHO)
    await call.answered()
    scene.stack.edge.kill()
    await call.hangup()
    await nothing_relayed(scene.stack, within=5.0)
