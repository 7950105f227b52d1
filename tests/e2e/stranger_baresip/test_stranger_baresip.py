"""Bob uses baresip as his softphone: what works with our own phone works with a stranger's, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.phone import Call
from tests.e2e.scene import ALICE, BOB, CALLER_TONE, Scene
from tests.e2e.started_by_push import StartedByPush
from tests.e2e.stranger_baresip.baresip import Baresip


async def echoes(call: Call) -> bool:
    """Whether the other side sends back what it is told: the audio flows both ways."""
    call.audio.send_tone(CALLER_TONE)
    return await call.audio.heard(CALLER_TONE, 10)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_strangers_phone_registers_and_is_called(
    scene: Scene, tmp_path: Path, transport: str
) -> None:
    stack = scene.stack
    await scene.extension()
    device, alice = await stack.add_device("softphone", "bob"), await scene.caller()
    async with Baresip(tmp_path, stack, device, transport) as baresip:
        await baresip.start()
        await stack.eventually(lambda: stack.bindings(device.id), "baresip is registered")

        call = await alice.call(BOB)
        await call.answered()

        assert await echoes(call)
        assert (await call.hold()).status == 200
        assert (await call.resume()).status == 200
        assert await echoes(call)
        assert (await call.hangup()).status == 200
    await stack.eventually(lambda: not stack.bindings(device.id), "baresip has signed off")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_s1_a_strangers_phone_calls_out(scene: Scene, tmp_path: Path, transport: str) -> None:
    stack = scene.stack
    await scene.extension()
    device, alice = await stack.add_device("softphone", "bob"), await scene.caller()
    async with Baresip(tmp_path, stack, device, transport) as baresip:
        await baresip.start(f"/dial sip:{ALICE}@{device.domain}")

        call = await alice.incoming()
        await call.answered()

        assert f"sip:{BOB}@" in call.caller
        assert await echoes(call)
        assert (await call.hangup()).status == 200
    await scene.story("challenged", "answered", "bye")


async def test_a_strangers_phone_hangs_up(scene: Scene, tmp_path: Path) -> None:
    stack = scene.stack
    await scene.extension()
    device, alice = await stack.add_device("softphone", "bob"), await scene.caller()
    async with Baresip(tmp_path, stack, device) as baresip:
        await baresip.start(f"/dial sip:{ALICE}@{device.domain}")
        call = await alice.incoming()
        await call.answered()

        await baresip.stop()

        assert (await call.ended()).cause == "bye"


async def test_a_strangers_phone_is_woken_and_answers(scene: Scene, tmp_path: Path) -> None:
    """This baresip knows nothing of RFC 8599: our own phone tells Nightbell its token, as a newer one would."""
    stack = scene.stack
    await scene.extension()
    bob, alice = await scene.asleep("softphone", wakes=False), await scene.caller()
    async with (
        Baresip(tmp_path, stack, bob.device) as baresip,
        StartedByPush(stack, bob.device.token, baresip),
    ):
        call = await alice.call(BOB)
        await call.answered()

        assert await echoes(call)
        assert (await call.hangup()).status == 200
    await scene.story("push-sent", "register", "answered", "bye")


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_a_strangers_phone_encrypts_by_sdes_over_tls(
    scene: Scene, tmp_path: Path, direction: str
) -> None:
    stack = scene.stack
    await scene.extension()
    device = await stack.add_device("desk phone", "bob", media="sdes")
    alice = await scene.caller()
    async with Baresip(tmp_path, stack, device, "tls", encryption="srtp-mand") as baresip:
        await baresip.start(*([f"/dial sip:{ALICE}@{device.domain}"] if direction == "out" else []))
        call: Call
        if direction == "out":
            call = await alice.incoming()
        else:
            await stack.eventually(lambda: stack.bindings(device.id), "baresip is registered")
            call = await alice.call(BOB)
        await call.answered()

        assert await echoes(call)
        assert (await call.hangup()).status == 200
    assert "SRTP is Enabled" in baresip.log.read_text(encoding="utf-8", errors="replace")
