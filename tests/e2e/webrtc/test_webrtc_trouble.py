"""WebRTC that does not come about, and descriptions that are larger than life: a clear end, and nothing is left behind."""

from __future__ import annotations

import asyncio
import re

import pytest

from demo.phone.call import Call
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up
from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone

TALK = 1.5  # s; less than one second is too short to tell


class _WrongFingerprint(WebRtcAudio):
    """Somebody in between has put his own certificate's fingerprint into the description."""

    async def answer(self, offer: bytes, direction: str) -> bytes:
        return _wrong_fingerprint(await super().answer(offer, direction))

    async def offer(self, direction: str) -> bytes:
        return _wrong_fingerprint(await super().offer(direction))


class _NoWay(WebRtcAudio):
    """Its candidates lead nowhere, and it does not look for ours."""

    async def answer(self, offer: bytes, direction: str) -> bytes:
        return _unreachable(await super().answer(_unreachable(offer), direction))

    async def offer(self, direction: str) -> bytes:
        return _unreachable(await super().offer(direction))

    async def accept(self, answer: bytes) -> None:
        await super().accept(_unreachable(answer))


def _wrong_fingerprint(body: bytes) -> bytes:
    return re.sub(rb"(a=fingerprint:\S+ )(..:..)", rb"\g<1>00:00", body)


def _unreachable(body: bytes) -> bytes:
    """The same with all addresses in a network that nobody is in (RFC 5737)."""
    return re.sub(rb"(a=candidate:.* )127\.0\.0\.1 (\d+ typ)", rb"\g<1>192.0.2.99 \g<2>", body)


class WrongFingerprint(WebRtcPhone):
    audio = _WrongFingerprint


class NoWay(WebRtcPhone):
    audio = _NoWay


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("kind", [WrongFingerprint, NoWay], ids=["wrong fingerprint", "no way"])
async def test_media_that_does_not_come_about_is_told_and_leaves_nothing(
    scene: Scene, kind: type[WebRtcPhone], direction: str
) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=kind), await scene.caller()
    if direction == "in":
        outgoing, incoming = await alice.call(BOB), await bob.phone.incoming()
    else:
        outgoing, incoming = await bob.phone.call(ALICE), await alice.incoming()
    await answered(outgoing, incoming)
    theirs: Call = alice.calls[0]
    bob.phone.calls[0].audio.send_tone(880)
    await asyncio.sleep(TALK)
    assert await theirs.audio.silent(), "audio although the keys are not the device's"
    assert (await theirs.hangup()).status == 200

    story = await scene.story("answered", "bye")
    assert story.summary.endswith("One-way audio: the device sent nothing.")
    await nothing_relayed(scene.stack)


LINES = 200


class _Talkative(WebRtcAudio):
    async def offer(self, direction: str) -> bytes:
        return _with_lines(await super().offer(direction))

    async def answer(self, offer: bytes, direction: str) -> bytes:
        return _with_lines(await super().answer(offer, direction))


def _with_lines(body: bytes) -> bytes:
    return body + b"".join(b"a=x-line-%d:%s\r\n" % (n, b"y" * 40) for n in range(LINES))


class Talkative(WebRtcPhone):
    audio = _Talkative


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_a_description_of_more_than_200_lines_goes_through_whole(scene: Scene, direction: str) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=Talkative), await scene.caller()
    if direction == "in":
        outgoing, incoming = await alice.call(BOB), await bob.phone.incoming()
    else:
        outgoing, incoming = await bob.phone.call(ALICE), await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)
