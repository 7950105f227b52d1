"""Bob has Linphone, which brings its push token by RFC 8599 as it has been written to do, and is woken by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.phone import Phone
from tests.e2e.scene import BOB, Scene
from tests.e2e.started_by_push import StartedByPush
from tests.e2e.stranger_linphone.linphone import Linphone


@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_linphone_registers_with_its_own_parameters_and_is_woken(
    scene: Scene, tmp_path: Path, provider: str
) -> None:
    stack = scene.stack
    await scene.extension()
    device, alice = await stack.add_device("Linphone", "bob", provider), await scene.caller()
    async with Linphone(tmp_path, stack, device) as linphone:
        await linphone.start()
        await stack.wait_wakeable(device)
        await linphone.kill()
        await stack.eventually(
            lambda: not stack.bindings(device.id), "its connection is gone, and its binding"
        )
        async with StartedByPush(stack, device.token, linphone):
            await talk(alice)
    story = await scene.story("push-sent", "push-accepted", "register", "answered", "bye")
    assert story.head.outcome == "answered"


async def talk(alice: Phone) -> None:
    """Alice calls; Linphone answers by itself."""
    call = await alice.call(BOB)
    await call.answered()
    assert (await call.hangup()).status == 200
