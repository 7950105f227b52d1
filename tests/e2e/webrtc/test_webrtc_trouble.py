"""WebRTC that does not come about, and descriptions that are larger than life: a clear end, and nothing is left behind."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from demo.phone.call import Call
from tests.e2e.changed_settings import settings
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up
from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone

TALK = 1.5  # s; less than one second is too short to tell
SILENCE = 2  # s


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


NO_KEYS, NO_WAY = "no keys were agreed on with the device (DTLS)", "no way to the device was found (ICE)"
TROUBLE = pytest.mark.parametrize(
    ("kind", "words"),
    [(WrongFingerprint, NO_KEYS), (NoWay, NO_WAY)],
    ids=["wrong fingerprint", "no way"],
)
DIRECTION = pytest.mark.parametrize("direction", ["in", "out"])


async def talk(scene: Scene, kind: type[WebRtcPhone], direction: str) -> tuple[Call, Call]:
    """Bob's and Alice's ends of a call that is answered; each sends a tone."""
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=kind), await scene.caller()
    if direction == "in":
        outgoing, incoming = await alice.call(BOB), await bob.phone.incoming()
    else:
        outgoing, incoming = await bob.phone.call(ALICE), await alice.incoming()
    await answered(outgoing, incoming)
    ours, theirs = bob.phone.calls[0], alice.calls[0]
    ours.audio.send_tone(880)
    theirs.audio.send_tone(440)
    return ours, theirs


@DIRECTION
@TROUBLE
async def test_media_that_does_not_come_about_is_told_and_leaves_nothing(
    scene: Scene, kind: type[WebRtcPhone], words: str, direction: str
) -> None:
    _, theirs = await talk(scene, kind, direction)
    await asyncio.sleep(TALK)
    assert await theirs.audio.silent(), "audio although the keys are not the device's"
    assert (await theirs.hangup()).status == 200

    story = await scene.story("answered", "bye")
    assert story.summary.endswith(f"No audio: {words}.")
    await nothing_relayed(scene.stack)


@DIRECTION
@TROUBLE
async def test_s5_media_that_does_not_come_about_ends_the_call_though_the_pbx_goes_on_sending(
    scene: Scene, kind: type[WebRtcPhone], words: str, direction: str
) -> None:
    async with settings(scene.stack, "edge", silence=SILENCE):
        ours, theirs = await talk(scene, kind, direction)
        assert (await ours.ended(4 * SILENCE)).cause == "bye"
        assert (await theirs.ended(4 * SILENCE)).cause == "bye"
        story = await scene.story("answered", "bye")
        assert [beat.detail for beat in story.beats if beat.step.step == "bye"] == [
            f"{words} for {SILENCE} s"
        ]
        await scene.stack.eventually(lambda: (scene.stack.story() or story).verdict, "its audio is told")
        await nothing_relayed(scene.stack)
    page = f"{scene.stack.settings.phone_url}/calls/{story.head.call}"
    async with aiohttp.ClientSession() as browser, browser.get(page, ssl=False) as shown:
        text = await shown.text()
    assert f"No audio: {words}." in text
    assert f"{words} for {SILENCE} s" in text


async def test_s5_a_browser_that_is_heard_is_not_ended_for_its_beginnings(scene: Scene) -> None:
    async with settings(scene.stack, "edge", silence=SILENCE):
        ours, theirs = await talk(scene, WebRtcPhone, "in")
        assert await theirs.audio.heard(880, 5)
        await asyncio.sleep(3 * SILENCE)
        assert (ours.end, theirs.end) == (None, None)
        assert (await theirs.hangup()).status == 200
        await ours.ended()


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
