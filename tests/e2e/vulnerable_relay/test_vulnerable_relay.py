"""An rtpengine that is open to CVE-2023-51275: no WebRTC goes through it, in either direction, and whoever asks is told why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.tmpdir import TempPathFactory

from control.host import rtpengine
from demo.phone import Phone
from demo.phone.errors import CallRefusedError
from demo.stack import Stack
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up
from tests.fixtures.sdes import SdesPhone
from tests.fixtures.webrtc import WebRtcPhone

WHY = "No WebRTC here: rtpengine is open to CVE-2023-51275"


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: TempPathFactory) -> Iterator[Stack]:
    """A stack of this module's own, whose rtpengine says that it is Debian 12's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rtpengine, "version", lambda relay: "10.5.3.5-1")
        stack = Stack(tmp_path_factory.mktemp("vulnerable"))
        try:
            for _ in stack.start():
                pass
            yield stack
        finally:
            for _ in stack.stop():
                pass


async def test_a_browser_that_calls_is_told_why_it_cannot(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("browser", transport="wss", kind=WebRtcPhone)
    call = await bob.phone.call(ALICE)
    with pytest.raises(CallRefusedError):
        await call.answered()
    assert call.final is not None
    assert call.final.status == 488
    assert WHY in call.reason
    await nothing_relayed(scene.stack)


async def test_a_browser_is_not_called_and_the_journal_says_why(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("browser", transport="wss", kind=WebRtcPhone, push=False)
    alice = await scene.caller()
    await alice.call(BOB)
    story = await scene.story("device-refused")
    assert [beat.step.reason for beat in story.beats if beat.step.step == "device-refused"] == [WHY]
    assert bob.phone.invites == []
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize(("kind", "transport"), [(Phone, "udp"), (SdesPhone, "tls")], ids=["plain", "sdes"])
async def test_whoever_needs_no_dtls_is_not_concerned(
    scene: Scene, kind: type[Phone], transport: str
) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone", transport=transport, kind=kind), await scene.caller()
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)
