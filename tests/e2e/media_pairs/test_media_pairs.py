"""Whoever encrypts, and how: WebRTC, SDES and plain devices call each other through the PBX, and the PBX's own phones."""

from __future__ import annotations

import re

import pytest

from demo.phone import Phone
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import (
    ALICE,
    BOB,
    CAROL,
    Handset,
    Scene,
    answered,
    assert_they_hear_each_other,
    hang_up,
)
from tests.fixtures.sdes import SdesAudio, SdesPhone
from tests.fixtures.webrtc import WebRtcPhone

KINDS: dict[str, tuple[type[Phone], str]] = {
    "plain": (Phone, "udp"),
    "sdes": (SdesPhone, "tls"),
    "webrtc": (WebRtcPhone, "wss"),
}


async def device(scene: Scene, kind: str, person: str = "bob") -> Handset:
    phone, transport = KINDS[kind]
    return await scene.awake(f"{person}'s {kind}", person=person, kind=phone, transport=transport)


@pytest.mark.parametrize("callee", KINDS)
@pytest.mark.parametrize("caller", KINDS)
async def test_each_kind_of_device_calls_each(scene: Scene, caller: str, callee: str) -> None:
    await scene.extension()
    hers = await scene.stack.add_connection(CAROL, "carol")
    await scene.stack.wait_registered(hers)
    bob, carol = await device(scene, caller), await device(scene, callee, "carol")

    outgoing = await bob.phone.call(CAROL)
    incoming = await carol.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_an_sdes_device_is_called_by_the_pbx(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await device(scene, "sdes"), await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    assert b" RTP/SAVP " in bob.phone.invites[0].body
    await assert_they_hear_each_other(outgoing, incoming)
    assert (await incoming.hold()).status == 200
    assert (await incoming.resume()).status == 200
    assert (await outgoing.hold()).status == 200
    assert (await outgoing.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    assert isinstance(incoming.audio, SdesAudio)
    assert incoming.audio.unopened == 0
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_an_sdes_device_is_never_offered_a_suite_that_does_not_encrypt(
    scene: Scene, direction: str
) -> None:
    await scene.extension()
    bob, alice = await device(scene, "sdes"), await scene.caller()
    # So that a hold is a re-INVITE for Bob's phone, too.
    with pbx_set(scene.stack.pbx, BOB, "endpoint", moh_passthrough="yes"):
        if direction == "in":
            outgoing, incoming = await alice.call(BOB), await bob.phone.incoming()
        else:
            outgoing, incoming = await bob.phone.call(ALICE), await alice.incoming()
        await answered(outgoing, incoming)
        ours, theirs = bob.phone.calls[0], alice.calls[0]
        assert (await theirs.hold()).status == 200
        await bob.phone.until(lambda: ours.held_by_peer, what="held by the PBX")
        assert (await theirs.resume()).status == 200
        await assert_they_hear_each_other(outgoing, incoming)

        offered = [m for m in bob.phone.messages if m.direction == "in" and b"a=crypto:" in m.message.body]
        # One that overtakes the ACK of the last is refused, and the PBX makes it again.
        refused = [
            m for m in bob.phone.messages if (m.direction, m.method, m.status) == ("out", "INVITE", 491)
        ]
        assert len(offered) - len(refused) == 3, "the call, the hold, the resume"
        suites = {
            suite for each in offered for suite in re.findall(rb"a=crypto:\d+ (\w+)", each.message.body)
        }
        assert b"AES_CM_128_HMAC_SHA1_80" in suites
        assert not [suite for suite in suites if suite.startswith((b"NULL", b"F8"))]
    await hang_up(outgoing, incoming)


async def test_an_sdes_device_calls_the_pbx(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await device(scene, "sdes"), await scene.caller()

    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_w1_an_sdes_device_that_sleeps_is_woken_and_heard(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("desk phone", transport="tls", kind=SdesPhone)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)
