"""Comfort noise of either side does no harm: whoever speaks after a silence is heard, whatever is between the two."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.domain.quality import Audio
from demo.phone import Call, Phone
from tests.e2e.browser_phone.browser import BROWSER_TONE, chromium, phone_in
from tests.e2e.comfort_noise.quiet import QuietAudio, QuietPbx, QuietPhone
from tests.e2e.peer_pbx import PeerPbx
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other
from tests.fixtures.phones import Phones
from tests.fixtures.webrtc import WebRtcPhone

TONE = 700  # Hz


class OpusOnly(WebRtcPhone):
    """An app that knows one codec, so that all of the call is transcoded."""

    codecs = ("opus",)


CALLS = pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])
DEVICES = pytest.mark.parametrize(
    ("kind", "transport"),
    [(Phone, "udp"), (QuietPhone, "udp"), (WebRtcPhone, "wss"), (OpusOnly, "wss")],
    ids=["plain", "quiet", "webrtc", "opus"],
)


async def pauses(speaker: Call, listener: Call) -> None:
    """One speaks, is silent for a while, and speaks again; the other hears just that."""
    for _ in range(2):
        speaker.audio.send_tone(TONE)
        assert await listener.audio.heard(TONE, 5)
        speaker.audio.send_tone(None)
        assert await listener.audio.silent(1.0, within=3.0)
    speaker.audio.send_tone(TONE)
    assert await listener.audio.heard(TONE, 5)


@CALLS
@DEVICES
async def test_a_pbx_may_send_it(
    scene: Scene, phones: Phones, kind: type[Phone], transport: str, calls: bool
) -> None:
    bob = await scene.awake("phone", kind=kind, transport=transport)
    pbx = await PeerPbx.start(scene, phones, QuietPbx)
    ours, theirs = await pbx.talk(bob.phone, bob_calls=calls)
    await assert_they_hear_each_other(ours, theirs)
    await pauses(theirs, ours)
    await pauses(ours, theirs)
    await theirs.hangup()
    await ours.ended()
    assert isinstance(theirs.audio, QuietAudio)
    assert theirs.audio.noise_out > 5, "there was none"
    if kind is QuietPhone:
        assert isinstance(ours.audio, QuietAudio)
        assert ours.audio.noise_in > 5, "both wanted it"
        assert theirs.audio.noise_in > 5, "both wanted it"
    story = await scene.story("answered", "bye")
    await scene.stack.eventually(lambda: (scene.stack.story() or story).verdict, "its audio is told")
    verdict = (scene.stack.story() or story).verdict
    assert verdict is not None
    assert verdict.audio is Audio.GOOD, verdict.words
    await nothing_relayed(scene.stack)


@CALLS
async def test_a_device_may_send_it_to_a_pbx_that_never_heard_of_it(scene: Scene, calls: bool) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone", kind=QuietPhone), await scene.caller()
    caller, called = (bob.phone, alice) if calls else (alice, bob.phone)
    outgoing = await caller.call(ALICE if calls else BOB)
    incoming = await called.incoming()
    await answered(outgoing, incoming)
    ours, theirs = bob.phone.calls[0], alice.calls[0]
    await pauses(ours, theirs)
    await pauses(theirs, ours)
    assert isinstance(ours.audio, QuietAudio)
    assert ours.audio.noise_out > 5, "there was none"
    await theirs.hangup()
    await ours.ended()
    await nothing_relayed(scene.stack)


async def test_a_browser_and_a_pbx_send_it_to_each_other(
    scene: Scene, phones: Phones, tmp_path: Path
) -> None:
    device = await scene.stack.add_device("Bob's browser", "bob")
    pbx = await PeerPbx.start(scene, phones, QuietPbx)
    async with chromium(tmp_path) as browser:
        bob = await phone_in(browser, scene.stack)
        await bob.set_up(device.id)
        theirs = await pbx.phone.call(pbx.uri)
        await bob.says("Calls you")
        await bob.press("Answer")
        await theirs.answered(8)
        assert isinstance(theirs.audio, QuietAudio)
        for _ in range(2):
            theirs.audio.send_tone(TONE)
            await bob.assert_hears(TONE)
            assert await theirs.audio.heard(BROWSER_TONE, 6)
            theirs.audio.send_tone(None)
            await bob.press("Mute")
            assert await theirs.audio.silent(1.0, within=4.0)
            await bob.press("Unmute")
        theirs.audio.send_tone(TONE)
        await bob.assert_hears(TONE)
        assert await theirs.audio.heard(BROWSER_TONE, 6)
        assert theirs.audio.noise_out > 5
        assert theirs.audio.noise_in > 0, "the browser has sent none"
        await theirs.hangup()
        await bob.says("The other side hung up")
        assert bob.complaints == []
    await nothing_relayed(scene.stack)
