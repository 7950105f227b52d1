"""The keys that one side presses reach the other, whether or not the audio between them is transcoded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.stack import Stack
from tests.e2e.keys.keypad import KeypadAudio, KeypadPhone, OpusKeypadPhone
from tests.e2e.scene import Scene

LISTENS, PRESSES = "692", "693"
KINDS = pytest.mark.parametrize("kind", [KeypadPhone, OpusKeypadPhone], ids=["PCMU", "opus"])


@pytest.fixture(autouse=True)
def keypad_at_the_pbx(stack: Stack) -> Iterator[None]:
    """Two numbers of the PBX: one notes the keys up to a #, the other presses some."""
    plan = {
        LISTENS: ("Answer()", "Read(KEYS,,8,,1,8)", "Verbose(1,nightbell-keys:${KEYS}:)", "Wait(5)"),
        PRESSES: ("Answer()", "Wait(1)", "SendDTMF(90*#)", "Wait(5)"),
    }
    for module in ("app_read", "app_senddtmf"):
        stack.pbx.cli(f"module load {module}.so")
    for number, steps in plan.items():
        for priority, step in enumerate(steps, 1):
            stack.pbx.cli(f"dialplan add extension {number},{priority},{step} into internal")
    yield
    for number in plan:
        stack.pbx.cli(f"dialplan remove extension {number}@internal")


@KINDS
async def test_the_devices_keys_reach_the_pbx(scene: Scene, kind: type[KeypadPhone]) -> None:
    await scene.extension()
    bob = await scene.awake("browser", transport="wss", kind=kind)
    call = await bob.phone.call(LISTENS)
    await call.answered()
    assert isinstance(call.audio, KeypadAudio)
    await call.audio.attach()
    call.audio.press("17*#")

    def noted() -> bool:
        return "nightbell-keys:17*:" in scene.stack.pbx.log.read_text(encoding="utf-8", errors="replace")

    await scene.stack.eventually(noted, "the PBX has read the keys")
    await call.hangup()


@KINDS
async def test_the_pbxs_keys_reach_the_device(scene: Scene, kind: type[KeypadPhone]) -> None:
    await scene.extension()
    bob = await scene.awake("browser", transport="wss", kind=kind)
    call = await bob.phone.call(PRESSES)
    await call.answered()
    assert isinstance(call.audio, KeypadAudio)
    await call.audio.attach()
    assert await call.audio.have_come("90*#"), f"came: {call.audio.pressed!r}"
    await call.hangup()
