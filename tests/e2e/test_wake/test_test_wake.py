"""`nightbell device wake`: a test call wakes a device, rings it, and ends; or it says which step failed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from click.testing import CliRunner, Result

from control.cli.main import main
from demo.phone import Answer
from tests.e2e.scene import Scene


async def wake(scene: Scene, device: str) -> Result:
    home: Path = scene.stack.settings.home
    return await asyncio.to_thread(CliRunner().invoke, main, ["device", "wake", device, "--home", str(home)])


async def test_w5_a_device_that_sleeps_is_woken_rung_and_left_in_peace(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone")
    bob.phone.on_invite = Answer(answer_after=None)
    shown = await wake(scene, bob.id)
    assert shown.exit_code == 0, shown.output
    assert "It was woken, and rang" in shown.output
    assert "Test call" in shown.output
    assert (await (await bob.phone.incoming()).ended()).cause == "cancelled"
    assert len(scene.pushes(bob)) == 1


async def test_a_device_without_a_token_is_told_of_at_once(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's desk phone", push=False)
    await scene.put_to_sleep(bob)
    shown = await wake(scene, bob.id)
    assert shown.exit_code == 1
    assert "No push was sent: No push token" in shown.output


async def test_a_phone_that_answers_before_the_test_is_over_is_hung_up_on(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's phone", push=False)
    bob.phone.on_invite = Answer(ring_after=None, answer_after=0)
    shown = await wake(scene, bob.id)
    assert shown.exit_code == 0, shown.output
    assert "rang without a push" in shown.output
    await (await bob.phone.incoming()).ended()
