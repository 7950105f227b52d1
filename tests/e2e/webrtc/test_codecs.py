"""Which codec is spoken: one that both ends know, so that nothing is transcoded; else what the PBX wants is made of Opus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from demo.pbx.server import MILLIWATT_TONE
from demo.stack import Stack
from tests.e2e.browser_phone.browser import chromium, phone_in
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up
from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone


class OpusOnly(WebRtcPhone):
    """An app that knows one codec."""

    codecs = ("opus",)


CODECS = pytest.mark.parametrize(
    ("allowed", "codec"), [("ulaw", "PCMU"), ("alaw", "PCMA"), ("g722", "G722")], ids=["PCMU", "PCMA", "G722"]
)
CALLS = pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])


@pytest.fixture(autouse=True)
def wideband(stack: Stack) -> Iterator[None]:
    """A PBX that knows G.722."""
    stack.pbx.cli("module load codec_g722.so")
    yield
    stack.pbx.cli("module unload codec_g722.so")


async def spoken(scene: Scene, kind: type[WebRtcPhone], allowed: str, *, calls: bool) -> str:
    """The codec on Bob's side of a call through a PBX that wants one codec on its own; both hear each other."""
    with pbx_set(scene.stack.pbx, BOB, "endpoint", allow=f"!all,{allowed}"):
        await scene.extension()
        bob, alice = await scene.awake("browser", transport="wss", kind=kind), await scene.caller()
        caller, called = (bob.phone, alice) if calls else (alice, bob.phone)
        outgoing = await caller.call(ALICE if calls else BOB)
        incoming = await called.incoming()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
        audio = bob.phone.calls[0].audio
        assert isinstance(audio, WebRtcAudio)
        codec = audio.codec
        await hang_up(outgoing, incoming)
        await nothing_relayed(scene.stack)
        return codec


@CALLS
@CODECS
async def test_what_both_know_is_spoken(scene: Scene, allowed: str, codec: str, calls: bool) -> None:
    assert await spoken(scene, WebRtcPhone, allowed, calls=calls) == codec


@CALLS
@CODECS
async def test_opus_is_made_of_whatever_the_pbx_speaks(
    scene: Scene, allowed: str, codec: str, calls: bool
) -> None:
    assert await spoken(scene, OpusOnly, allowed, calls=calls) == "opus"


async def test_a_browser_speaks_g722_with_a_pbx_that_does(scene: Scene, tmp_path: Path) -> None:
    with pbx_set(scene.stack.pbx, BOB, "endpoint", allow="!all,g722"):
        await scene.extension()
        device = await scene.stack.add_device("Bob's browser", "bob")
        async with chromium(tmp_path) as browser:
            bob = await phone_in(browser, scene.stack)
            await bob.set_up(device.id)
            await bob.dial("601")
            await bob.says("Talking")
            await bob.assert_hears(MILLIWATT_TONE)
            assert await bob.codec() == "audio/G722"
            await bob.press("Hang up")
            assert bob.complaints == []


async def test_without_a_codec_in_common_the_call_is_refused_with_the_reason(scene: Scene) -> None:
    await scene.extension(codecs="PCMA")
    bob = await scene.awake("phone")
    call = await bob.phone._outgoing_call(bob.phone._awake(), f"sip:{ALICE}@{scene.stack.domain}", ())
    body = call._draft.body.replace(b"RTP/AVP 0 8", b"RTP/AVP 18").replace(b"PCMU", b"X-UNKNOWN")
    call._draft = replace(call._draft, body=body)
    await call.run()
    assert call.final is not None
    assert call.final.status == 488
    assert "No codec in common: offered G729, allowed PCMA" in call.reason
    await nothing_relayed(scene.stack)
