"""A browser or app by WebRTC calls and is called through a PBX that knows only plain RTP and G.711."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from control.services import people
from demo.pbx.server import HOLD_TONE
from demo.phone import Answer, Call, Phone
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up
from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone


class OpusOnly(WebRtcPhone):
    """An app that knows one codec."""

    codecs = ("opus",)


class WebRtcApp(WebRtcPhone):
    """An app that speaks SIP by other ways than WebSocket."""

    media = "webrtc"


KINDS = pytest.mark.parametrize("kind", [WebRtcPhone, OpusOnly], ids=["any", "opus"])


@KINDS
@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_it_is_called(scene: Scene, transport: str, kind: type[WebRtcPhone]) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport=transport, kind=kind), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@KINDS
async def test_it_calls(scene: Scene, kind: type[WebRtcPhone]) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=kind), await scene.caller()
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@KINDS
@pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])
async def test_s4_it_holds_and_resumes(scene: Scene, kind: type[WebRtcPhone], calls: bool) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=kind), await scene.caller()
    caller = bob.phone if calls else alice
    outgoing = await caller.call(ALICE if calls else BOB)
    incoming = await (alice if calls else bob.phone).incoming()
    ours: Call = outgoing if calls else incoming
    theirs: Call = incoming if calls else outgoing
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)

    assert (await ours.hold()).status == 200
    assert await theirs.audio.heard(HOLD_TONE)
    assert (await ours.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)

    assert (await theirs.hold()).status == 200
    assert await ours.audio.heard(HOLD_TONE)
    assert (await theirs.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    assert isinstance(ours.audio, WebRtcAudio)
    assert ours.audio.codec == ("PCMU" if kind is WebRtcPhone else "opus"), "it is transcoded since the hold"
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])
async def test_s4_an_app_by_webrtc_over_tls_is_held_by_the_pbx(scene: Scene, calls: bool) -> None:
    stack = scene.stack
    await scene.extension()
    bob, alice = await scene.awake("app", transport="tls", kind=WebRtcApp), await scene.caller()
    with pbx_set(stack.pbx, BOB, "endpoint", moh_passthrough="yes"):
        caller, called = (bob.phone, alice) if calls else (alice, bob.phone)
        outgoing = await caller.call(ALICE if calls else BOB)
        incoming = await called.incoming()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
        theirs: Call = incoming if calls else outgoing
        assert (await theirs.hold()).status == 200
        await bob.phone.until(lambda: last_offer(bob.phone).endswith("sendonly"), what="held by the PBX")
        assert (await theirs.resume()).status == 200
        await bob.phone.until(lambda: last_offer(bob.phone).endswith("sendrecv"), what="off hold")
        await assert_they_hear_each_other(outgoing, incoming)
    assert all("ice" in offer for offer in offers(bob.phone)), offers(bob.phone)
    await hang_up(outgoing, incoming)


def last_offer(phone: Phone) -> str:
    return offers(phone)[-1] if offers(phone) else ""


def offers(phone: Phone) -> list[str]:
    """Of each INVITE that this phone got: whether it has ICE, and the direction."""
    bodies = [
        m.message.body.decode()
        for m in phone.messages
        if m.method == "INVITE" and not m.status and m.direction == "in"
    ]
    return [
        f"{'ice' if 'a=ice-ufrag' in body else 'plain'} {re.findall('a=(send.*|recvonly|inactive)', body)[-1].strip()}"
        for body in bodies
    ]


@KINDS
async def test_w1_asleep_it_is_woken_and_heard(scene: Scene, kind: type[WebRtcPhone]) -> None:
    await scene.extension()
    bob, alice = await scene.asleep("browser", transport="wss", kind=kind), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("winner", ["browser", "plain"])
async def test_of_a_mixed_fork_either_wins(scene: Scene, winner: str) -> None:
    await scene.extension()
    browser = await scene.awake("browser", transport="wss", kind=WebRtcPhone)
    plain, alice = await scene.awake("phone"), await scene.caller()
    wins, loses = (browser, plain) if winner == "browser" else (plain, browser)
    loses.phone.on_invite = Answer(answer_after=None)
    outgoing = await alice.call(BOB)
    incoming, ringing = await wins.phone.incoming(), await loses.phone.incoming()
    await answered(outgoing, incoming)
    assert (await ringing.ended()).cause == "cancelled"
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_nothing_is_transcoded_when_both_know_a_codec(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=WebRtcPhone), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    assert isinstance(incoming.audio, WebRtcAudio)
    assert incoming.audio.codec == "PCMU"
    assert "a=crypto:" not in incoming.audio.remote
    await hang_up(outgoing, incoming)


async def test_a_device_is_offered_the_codecs_it_is_set_to(scene: Scene) -> None:
    stack = scene.stack
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=WebRtcPhone), await scene.caller()
    with stack.store.write() as session:
        people.change_device(session, bob.id, codecs="opus")
    await stack.eventually(lambda: "opus" in (stack.table("device", bob.id) or ""), "Kamailio knows")
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    assert isinstance(incoming.audio, WebRtcAudio)
    assert incoming.audio.codec == "opus"
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def test_the_pbx_is_offered_the_codecs_it_is_set_to(scene: Scene) -> None:
    await scene.extension(codecs="PCMA")
    bob, alice = await scene.awake("phone"), await scene.caller()
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    answer = next(m for m in bob.phone.messages if m.status == 200 and m.method == "INVITE")
    assert b"PCMA" in answer.message.body
    assert b"PCMU" not in answer.message.body
    await hang_up(outgoing, incoming)


@pytest.mark.parametrize("media", ["", "m=image 4000 udptl t38\r\n"], ids=["no media", "fax"])
async def test_an_offer_that_cannot_go_on_is_refused_with_a_reason(scene: Scene, media: str) -> None:
    await scene.extension()
    bob = await scene.awake("browser", transport="wss", kind=WebRtcPhone)
    core = bob.phone._awake()
    call = await bob.phone._outgoing_call(core, f"sip:{ALICE}@{scene.stack.domain}", ())
    body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" + media
    call._draft = replace(call._draft, body=body.encode())
    await call.run()
    assert call.final is not None
    assert call.final.status == 488
    if not media:
        assert "no media" in call.reason
    await nothing_relayed(scene.stack)
