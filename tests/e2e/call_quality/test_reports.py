"""What both sides report of the audio that reaches them (RTCP) is in the journal: here by a browser and by the PBX."""

from __future__ import annotations

import asyncio

import pytest

from control.domain.quality import Audio, Heard, Quality
from control.domain.story import Story
from control.domain.story_text import as_text
from tests.e2e.call_quality.test_call_quality import measured
from tests.e2e.scene import BOB, Scene, answered, hang_up
from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone

TALK = 12.5  # s: a browser reports about every second, the PBX every five, and needs two of them for a round trip
LOST = 5  # each fifth packet
SHARE = 100 / LOST  # %


class _Lossy(WebRtcAudio):
    def lose_incoming(self) -> None:
        """Lose each fifth packet on its way to us, from now on."""
        dtls = self.peer.getSenders()[0].transport
        take, came = dtls._handle_rtp_data, 0

        async def some(data: bytes, arrival_time_ms: int) -> None:
            nonlocal came
            came += 1
            if came % LOST:
                await take(data, arrival_time_ms=arrival_time_ms)

        dtls._handle_rtp_data = some  # type: ignore[method-assign]

    def lose_outgoing(self) -> None:
        """Lose each fifth packet on its way from us, from now on."""
        dtls = self.peer.getSenders()[0].transport
        send, went = dtls._send_rtp, 0

        async def some(data: bytes) -> None:
            nonlocal went
            is_rtcp = 200 <= data[1] <= 206
            went += not is_rtcp
            if is_rtcp or went % LOST:
                await send(data)

        dtls._send_rtp = some  # type: ignore[method-assign]


class Lossy(WebRtcPhone):
    """A browser in a bad network."""

    audio = _Lossy


async def talk(scene: Scene, lost: str) -> Story:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=Lossy), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    assert isinstance(incoming.audio, _Lossy)
    if lost == "incoming":
        incoming.audio.lose_incoming()
    elif lost == "outgoing":
        incoming.audio.lose_outgoing()
    outgoing.audio.send_tone(440)
    incoming.audio.send_tone(880)
    await asyncio.sleep(TALK)
    await hang_up(outgoing, incoming)
    return await measured(scene)


def both_heard(quality: Quality | None) -> tuple[Heard, Heard]:
    """What the device and what the PBX heard."""
    assert quality is not None
    device, pbx = quality.device.heard, quality.pbx.heard
    assert device is not None, "the journal has no report of the device's"
    assert pbx is not None, "the journal has no report of the PBX's"
    return device, pbx


async def test_a_good_call_has_figures_of_both_sides(scene: Scene) -> None:
    story = await talk(scene, "nothing")
    device, pbx = both_heard(story.quality)
    assert max(device.loss, pbx.loss) < 3
    assert min(device.mos, pbx.mos) > 3.6
    assert story.verdict is not None
    assert story.verdict.audio is Audio.GOOD


@pytest.mark.parametrize("lost", ["incoming", "outgoing"])
async def test_loss_is_told_with_the_side_that_suffers_it(scene: Scene, lost: str) -> None:
    story = await talk(scene, lost)
    device, pbx = both_heard(story.quality)
    suffers, other = (device, pbx) if lost == "incoming" else (pbx, device)
    assert suffers.loss == pytest.approx(SHARE, abs=6)
    assert other.loss < 3
    assert suffers.mos < other.mos
    assert story.verdict is not None
    assert story.verdict.audio is Audio.POOR
    who = "the device" if lost == "incoming" else "the PBX"
    assert f"Poor audio: {who} heard a MOS of" in as_text(story)
