"""However a call ends, rtpengine keeps no port for it: an hour of failed calls must not use up the ports."""

from __future__ import annotations

from typing import Any

import pytest

from demo.phone import Answer
from tests.e2e.relay import nothing_relayed, relayed_calls
from tests.e2e.scene import ALICE, BOB, Scene, answered, hang_up
from tests.e2e.scripted_pbx import ScriptedPbx

ECHO, NOBODY = "600", "4711"
RINGS = Answer(answer_after=None)


@pytest.fixture(autouse=True)
async def nothing_before(scene: Scene) -> None:
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("who", ["caller", "callee", "pbx"])
async def test_an_answered_call_of_the_pbx(scene: Scene, who: str) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    assert len(relayed_calls(scene.stack)) == 1

    if who == "pbx":
        scene.stack.pbx.hang_up_all()
        await incoming.ended()
    else:
        await (outgoing if who == "caller" else incoming).hangup()

    await nothing_relayed(scene.stack)


async def test_a_call_that_rang_at_two_devices(scene: Scene) -> None:
    await scene.extension()
    phone, tablet, alice = await scene.awake("phone"), await scene.awake("tablet"), await scene.caller()
    tablet.phone.on_invite = RINGS
    outgoing = await alice.call(BOB)
    incoming = await phone.phone.incoming()
    await answered(outgoing, incoming)

    await hang_up(outgoing, incoming)

    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "asleep"])
async def test_a_call_that_the_caller_gives_up(scene: Scene, asleep: bool) -> None:
    await scene.extension()
    bob = await (scene.asleep("phone", wakes=False) if asleep else scene.awake("phone"))
    bob.phone.on_invite = RINGS
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await outgoing.ringing()

    await outgoing.cancel()
    await scene.story("cancelled")

    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_call_that_the_caller_gives_up_when_the_phone_is_gone(scene: Scene, transport: str) -> None:
    """A phone that rings and loses its network never answers the CANCEL."""
    await scene.extension()
    bob, alice = await scene.awake("phone", transport=transport), await scene.caller()
    bob.phone.on_invite = RINGS
    outgoing = await alice.call(BOB)
    await outgoing.ringing()
    await bob.phone.sleep()

    await outgoing.cancel()

    await nothing_relayed(scene.stack, within=5.0)


@pytest.mark.parametrize("policy", [Answer(status=486), Answer(status=603)], ids=["busy", "declined"])
async def test_a_call_that_the_device_refuses(scene: Scene, policy: Answer) -> None:
    # A device without a push token: nobody else could still wake up and answer.
    await scene.extension()
    bob, alice = await scene.awake("phone", push=False), await scene.caller()
    bob.phone.on_invite = policy

    await alice.call(BOB)
    await scene.story("failed")

    await nothing_relayed(scene.stack)


async def test_a_call_that_no_device_answers(scene: Scene) -> None:
    await scene.extension(wait=1)
    await scene.asleep("phone", wakes=False)
    alice = await scene.caller()

    await alice.call(BOB)
    await scene.story("failed")

    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("who", ["caller", "callee", "pbx"])
async def test_an_answered_call_of_the_device(scene: Scene, who: str) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    assert relayed_calls(scene.stack) == [outgoing.call_id]

    if who == "pbx":
        scene.stack.pbx.hang_up_all()
        await outgoing.ended()
    else:
        await (outgoing if who == "caller" else incoming).hangup()

    await nothing_relayed(scene.stack)


async def test_a_call_that_the_device_gives_up(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    alice.on_invite = RINGS
    outgoing = await bob.phone.call(ALICE)
    await outgoing.ringing()

    await outgoing.cancel()
    await scene.story("cancelled")

    await nothing_relayed(scene.stack)


async def test_a_call_that_the_pbx_refuses(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("phone")

    await bob.phone.call(NOBODY)
    await scene.story("failed")

    await nothing_relayed(scene.stack)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        (401, [("WWW-Authenticate", 'Digest realm="somewhere else", nonce="abc", qop="auth"')]),
        (503, []),
    ],
    ids=["silence", "a challenge nobody can answer", "unavailable"],
)
async def test_a_pbx_in_trouble(scene: Scene, answer: Any) -> None:
    async with ScriptedPbx(lambda request: answer) as pbx:
        await pbx.start(scene.stack.address)
        scene.connection = await scene.stack.add_connection(
            BOB, "bob", port=pbx.port, realm="asterisk", register=False
        )
        bob = await scene.awake("phone")

        await bob.phone.call(ECHO)
        await scene.story("failed")

        await nothing_relayed(scene.stack)


async def test_a_hold_does_not_bring_the_ports_back(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    call = await bob.phone.call(ECHO)
    await call.answered()
    await call.hold()
    await call.resume()

    await call.hangup()

    await nothing_relayed(scene.stack)
