"""Pictures go through when both sides want them, and are dropped without harm to the audio when one does not; so are faxes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from demo.phone import Phone
from demo.phone.call import Call
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.peer_pbx import PeerPbx
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import (
    ALICE,
    BOB,
    CAROL,
    Scene,
    answered,
    assert_they_hear_each_other,
    hang_up,
)
from tests.e2e.video.camera import CameraAudio, CameraPhone
from tests.fixtures.phones import Phones
from tests.fixtures.webrtc import WebRtcPhone


def streams(body: bytes) -> list[tuple[bytes, bool]]:
    """The streams of a description, and whether each is wanted."""
    return [(kind, port != b"0") for kind, port in re.findall(rb"^m=(\w+) (\d+)", body, re.MULTILINE)]


@asynccontextmanager
async def two_cameras(scene: Scene, **options: str) -> AsyncIterator[tuple[CameraAudio, CameraAudio]]:
    """Bob's browser in a call with Carol's, each with a camera, through connections with these options."""
    stack = scene.stack
    with (
        pbx_set(stack.pbx, BOB, "endpoint", allow="!all,ulaw,vp8", max_video_streams=1),
        pbx_set(stack.pbx, CAROL, "endpoint", allow="!all,ulaw,vp8", max_video_streams=1),
    ):
        await scene.extension(**options)
        hers = await stack.add_connection(CAROL, "carol", **options)
        await stack.wait_registered(hers)
        bob = await scene.awake("Bob's browser", transport="wss", kind=CameraPhone)
        carol = await scene.awake("Carol's browser", transport="wss", kind=CameraPhone, person="carol")
        outgoing, incoming = await bob.phone.call(CAROL), await carol.phone.incoming()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
        assert isinstance(outgoing.audio, CameraAudio)
        assert isinstance(incoming.audio, CameraAudio)
        outgoing.audio.roll()
        incoming.audio.roll()
        yield outgoing.audio, incoming.audio
        await hang_up(outgoing, incoming)


async def test_two_browsers_see_each_other_through_the_pbx(scene: Scene) -> None:
    async with two_cameras(scene) as (bobs, carols):
        assert await carols.seen()
        assert await bobs.seen()
        for each in (
            bobs,
            carols,
        ):  # what the browser wanted to share a port is given one each (RFC 9143, 7.3)
            own, remote = each.peer.localDescription.sdp, each.remote
            assert len(re.findall(r"^a=group:BUNDLE \S+ \S+", own, re.MULTILINE)) == 1
            assert "BUNDLE" not in remote
            assert len(set(re.findall(r"^m=\w+ (\d+)", remote, re.MULTILINE))) == 2
    await nothing_relayed(scene.stack)


async def test_pictures_are_dropped_when_the_pbx_wants_none(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("browser", transport="wss", kind=CameraPhone)
    alice = await scene.caller()
    outgoing, incoming = await bob.phone.call(ALICE), await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    assert isinstance(outgoing.audio, CameraAudio)
    assert streams(outgoing.audio.remote.encode()) == [(b"audio", True), (b"video", False)]
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_a_policy_of_audio_codecs_leaves_the_pictures_alone(scene: Scene) -> None:
    async with two_cameras(scene, codecs="PCMU") as (_, carols):
        assert await carols.seen()


FAX = "m=image 4000 udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n"


async def offer_a_fax(call: Call) -> int:
    """The answer to an end that wants to go on as a fax."""
    head = "v=0\r\no=- 1 9 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    draft = call._confirmed().draft("INVITE", call._core.contact, body=(head + FAX).encode())
    return (await call._core.exchange(draft)).code


@pytest.mark.parametrize("transport", ["udp", "wss"])
async def test_a_fax_within_a_call_is_refused_and_the_call_goes_on(scene: Scene, transport: str) -> None:
    await scene.extension()
    kind = WebRtcPhone if transport == "wss" else Phone
    bob, alice = await scene.awake("phone", transport=transport, kind=kind), await scene.caller()
    outgoing, incoming = await alice.call(BOB), await bob.phone.incoming()
    await answered(outgoing, incoming)
    assert await offer_a_fax(incoming) == 488
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])
@pytest.mark.parametrize("transport", ["udp", "wss"])
async def test_so_is_a_fax_that_the_pbx_wants(
    scene: Scene, phones: Phones, transport: str, calls: bool
) -> None:
    kind = WebRtcPhone if transport == "wss" else Phone
    bob = await scene.awake("phone", transport=transport, kind=kind)
    pbx = await PeerPbx.start(scene, phones)
    ours, theirs = await pbx.talk(bob.phone, bob_calls=calls)
    offers = len([m for m in bob.phone.messages if m.method == "INVITE" and m.direction == "in"])
    assert await offer_a_fax(theirs) == 488
    await assert_they_hear_each_other(ours, theirs)
    assert len([m for m in bob.phone.messages if m.method == "INVITE" and m.direction == "in"]) == offers
    await theirs.hangup()
    await ours.ended()
    await nothing_relayed(scene.stack)
