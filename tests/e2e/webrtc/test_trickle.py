"""A client that trickles (RFC 8838): its description comes before its addresses do. Its checks tell where it is."""

from __future__ import annotations

import re

import pytest

from demo.pbx.server import HOLD_TONE
from demo.phone.call import Call
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other
from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone


class _Trickling(WebRtcAudio):
    _looking = True

    async def offer(self, direction: str) -> bytes:
        return self._told(await super().offer(direction))

    async def answer(self, offer: bytes, direction: str) -> bytes:
        return self._told(await super().answer(offer, direction))

    def _told(self, body: bytes) -> bytes:
        """Later in the call it knows its addresses, and says so."""
        looking, self._looking = self._looking, False
        return _without_addresses(body) if looking else body


def _without_addresses(body: bytes) -> bytes:
    """As a browser gives it before it has looked for its addresses (RFC 8840, 4.1)."""
    told = (b"a=candidate:", b"a=end-of-candidates", b"a=rtcp:")
    kept = b"\r\n".join(line for line in body.split(b"\r\n") if not line.startswith(told))
    kept = re.sub(rb"c=IN IP4 \S+", b"c=IN IP4 0.0.0.0", kept)
    kept = re.sub(rb"m=audio \d+", b"m=audio 9", kept)
    return kept.replace(b"a=ice-ufrag:", b"a=ice-options:trickle\r\na=ice-ufrag:")


class Trickling(WebRtcPhone):
    """Nobody is told later: what RFC 8840 has INFO for, ICE finds out by itself."""

    audio = _Trickling


@pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])
async def test_it_is_heard_and_hears(scene: Scene, calls: bool) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=Trickling), await scene.caller()
    caller, called = (bob.phone, alice) if calls else (alice, bob.phone)
    outgoing = await caller.call(ALICE if calls else BOB)
    incoming = await called.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    ours: Call = bob.phone.calls[0]
    theirs: Call = alice.calls[0]
    assert (await ours.hold()).status == 200
    assert await theirs.audio.heard(HOLD_TONE)
    assert (await ours.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    assert (await ours.hangup()).status == 200
    await nothing_relayed(scene.stack)
