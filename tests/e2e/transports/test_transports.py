"""A device speaks SIP over UDP, TCP, TLS, WebSocket or secure WebSocket: it registers, calls, is called, holds, hangs up."""

from __future__ import annotations

import time

import pytest

from control.domain.reach import Reach
from control.services import reach
from control.services.people import get_device
from demo.pbx.server import HOLD_TONE
from demo.phone import Answer, Phone
from tests.e2e.relay import no_longer_tracked, tracked_calls
from tests.e2e.scene import ALICE, BOB, Handset, Scene, answered, assert_they_hear_each_other

RINGS = Answer(answer_after=None)
TRANSPORT = pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "ws", "wss"])


async def people(scene: Scene, transport: str) -> tuple[Handset, Phone]:
    """Bob's app over this transport, and Alice at her desk phone."""
    await scene.extension()
    return await scene.awake("phone", transport=transport), await scene.caller()


@TRANSPORT
async def test_s3_a_device_registers_and_is_forgotten_when_it_says_so(scene: Scene, transport: str) -> None:
    bob = await scene.awake("phone", transport=transport)
    [contact] = scene.stack.bindings(bob.id)
    assert contact.startswith(f"sip:{bob.id}@")
    assert (await bob.phone.register()).status == 200
    assert len(scene.stack.bindings(bob.id)) == 1

    await scene.put_to_sleep(bob)


@TRANSPORT
async def test_s3_a_device_is_called_and_hangs_up(scene: Scene, transport: str) -> None:
    bob, alice = await people(scene, transport)
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)

    assert (await incoming.hold()).status == 200
    assert await outgoing.audio.heard(HOLD_TONE)
    assert (await incoming.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)

    assert (await incoming.hangup()).status == 200
    assert (await outgoing.ended()).cause == "bye"


@TRANSPORT
async def test_s3_a_device_is_called_and_the_caller_hangs_up(scene: Scene, transport: str) -> None:
    bob, alice = await people(scene, transport)
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)

    assert (await outgoing.hangup()).status == 200

    assert (await incoming.ended()).cause == "bye"


@TRANSPORT
async def test_s3_a_device_calls_and_hangs_up(scene: Scene, transport: str) -> None:
    bob, alice = await people(scene, transport)
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)

    assert (await outgoing.hold()).status == 200
    assert (await outgoing.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)

    assert (await outgoing.hangup()).status == 200
    assert (await incoming.ended()).cause == "bye"


@TRANSPORT
async def test_s3_a_device_calls_and_the_other_side_hangs_up(scene: Scene, transport: str) -> None:
    bob, alice = await people(scene, transport)
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)

    assert (await incoming.hangup()).status == 200

    assert (await outgoing.ended()).cause == "bye"


@TRANSPORT
async def test_s3_a_call_is_cancelled_over_it(scene: Scene, transport: str) -> None:
    bob, alice = await people(scene, transport)
    bob.phone.on_invite = RINGS
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await outgoing.ringing()

    await outgoing.cancel()

    assert (await incoming.ended()).cause == "cancelled"


@TRANSPORT
async def test_w1_a_sleeping_device_comes_back_over_it(scene: Scene, transport: str) -> None:
    await scene.extension()
    bob, alice = await scene.asleep("phone", transport=transport), await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()

    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    assert tracked_calls(scene.stack, incoming.call_id) == 1
    assert (await outgoing.hangup()).status == 200
    await no_longer_tracked(scene.stack, incoming.call_id)


@pytest.mark.parametrize("transport", ["udp", "tcp", "ws"])
async def test_s1_the_pbx_is_reached_over_tcp(scene: Scene, transport: str) -> None:
    await scene.extension(transport="tcp")
    bob, alice = await scene.awake("phone", transport=transport), await scene.caller()
    sleeper = await scene.asleep("tablet", wakes=False)

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    assert (await incoming.hold()).status == 200
    assert (await incoming.resume()).status == 200
    assert (await outgoing.hangup()).status == 200
    assert (await incoming.ended()).cause == "bye"
    assert scene.pushes(sleeper), "a call that comes by TCP is not held for those who sleep"

    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    assert (await incoming.hangup()).status == 200
    assert (await outgoing.ended()).cause == "bye"


@pytest.mark.parametrize("transport", ["tcp", "tls", "ws", "wss"])
async def test_u1_w7_a_device_whose_connection_is_closed_is_shown_as_asleep(
    scene: Scene, transport: str
) -> None:
    bob = await scene.awake("phone", transport=transport)
    stack = scene.stack

    def standing() -> Reach:
        with stack.store.read() as session:
            row = get_device(session, bob.id)
            [found] = reach.of(session, [row], stack.settings.reach_terms, time.time())
        return found.reach.state

    await stack.eventually(lambda: standing() is Reach.CONNECTED, "it is shown as connected")
    await bob.phone.sleep()  # its socket is closed, without another word
    await stack.eventually(lambda: standing() is Reach.ASLEEP, "it is shown as asleep", within=6)
    assert (await bob.phone.wake()).status == 200
    await stack.eventually(lambda: standing() is Reach.CONNECTED, "it is shown as connected again")
