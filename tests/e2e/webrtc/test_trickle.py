"""A browser or app that tells of its candidates after its description, in INFO (trickle ICE, RFC 8840), gets its call."""

from __future__ import annotations

import asyncio
import re

import pytest
from sipmessage import Response

from demo.pbx.server import HOLD_TONE
from demo.phone import Answer, Call, IncomingCall, OutgoingCall, Reply
from demo.phone.dialog import Dialog
from tests.e2e.in_dialog import ring_with
from tests.e2e.pbx_setup import pbx_numbers
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import (
    ALICE,
    BOB,
    CALLER_TONE,
    Scene,
    answered,
    assert_they_hear_each_other,
    hang_up,
)
from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone

_CANDIDATE = re.compile(rb"a=(?:candidate:.*|end-of-candidates)\r\n")


class _Trickling(WebRtcAudio):
    """Its descriptions have no candidates, and the addresses it is told of lead nowhere.

    So the way is found only when the other side looks for this one, at candidates it can have from INFO alone.
    """

    kept = b""

    async def offer(self, direction: str) -> bytes:
        self.kept = await super().offer(direction)
        return _without_candidates(self.kept)

    async def answer(self, offer: bytes, direction: str) -> bytes:
        self.kept = await super().answer(_unreachable(offer), direction)
        return _without_candidates(self.kept)

    async def accept(self, answer: bytes) -> None:
        await super().accept(_unreachable(answer))

    def fragment(self) -> bytes:
        """All its candidates (RFC 8840, 9)."""
        section = self.kept[self.kept.index(b"m=audio") :]
        lines = re.findall(rb"a=(?:ice-ufrag|ice-pwd|mid):.*\r\n", section)
        return b"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" + b"".join(lines + _CANDIDATE.findall(section))


def _without_candidates(body: bytes) -> bytes:
    """As a browser gives it before it has looked for its addresses (RFC 8840, 4.1)."""
    body = re.sub(rb"a=rtcp:.*\r\n", b"", _CANDIDATE.sub(b"", body))
    body = re.sub(rb"c=IN IP4 \S+", b"c=IN IP4 0.0.0.0", body)
    body = re.sub(rb"(?m)^m=audio \d+ ", b"m=audio 9 ", body)
    return body.replace(b"a=ice-ufrag:", b"a=ice-options:trickle\r\na=ice-ufrag:")


def _unreachable(body: bytes) -> bytes:
    """The same with all addresses in a network that nobody is in (RFC 5737)."""
    return re.sub(rb"(a=candidate:.* )127\.0\.0\.1 (\d+ typ)", rb"\g<1>192.0.2.99 \g<2>", body)


class Trickling(WebRtcPhone):
    audio = _Trickling


class _Untold(WebRtcAudio):
    """Only what it describes first has no candidates: later in the call it knows them."""

    _looking = True

    async def offer(self, direction: str) -> bytes:
        return self._told(await super().offer(direction))

    async def answer(self, offer: bytes, direction: str) -> bytes:
        return self._told(await super().answer(offer, direction))

    def _told(self, body: bytes) -> bytes:
        looking, self._looking = self._looking, False
        return _without_candidates(body) if looking else body


class Untold(WebRtcPhone):
    """Nobody is told by INFO: its own checks tell where it is."""

    audio = _Untold


HEADERS = (("Info-Package", "trickle-ice"), ("Content-Type", "application/trickle-ice-sdpfrag"))
WILLING, REQUIRED = (("Supported", "trickle-ice"), ("Recv-Info", "trickle-ice")), ("Require", "trickle-ice")
LATE, ANNOUNCEMENT = "693", 620  # a number that answers late, and what it says before: Hz
FORGETS = 3  # s that rtpengine keeps candidates of somebody whose description it has not got


async def trickle(
    call: Call,
    body: bytes | None = None,
    headers: tuple[tuple[str, str], ...] = HEADERS,
    early: Dialog | None = None,
) -> Reply:
    """Send INFO within a call's dialog, or an early one."""
    dialog = early or call.dialog
    assert isinstance(call.audio, _Trickling)
    assert dialog is not None
    draft = dialog.draft("INFO", headers=headers, body=call.audio.fragment() if body is None else body)
    return Reply.of(await call._core.exchange(draft))


async def connected(
    scene: Scene, direction: str, *, asleep: bool = False
) -> tuple[OutgoingCall, IncomingCall, Call]:
    """The two ends of an answered call between Bob, who has told nobody of his candidates yet, and Alice; and Bob's."""
    await scene.extension()
    device = scene.asleep if asleep else scene.awake
    bob, alice = await device("browser", transport="wss", kind=Trickling), await scene.caller()
    if direction == "in":
        outgoing, incoming = await alice.call(BOB), await bob.phone.incoming()
    else:
        outgoing, incoming = await bob.phone.call(ALICE, headers=(*WILLING, REQUIRED)), await alice.incoming()
    await answered(outgoing, incoming)
    return outgoing, incoming, incoming if direction == "in" else outgoing


def assert_the_pbx_read_nothing(trace: PbxTrace) -> None:
    """Neither candidates nor that there is such a thing."""
    assert [seen.text for seen in trace.all() if "trickle" in seen.text or seen.method == "INFO"] == []


DIRECTION = pytest.mark.parametrize("direction", ["in", "out"])


@pytest.mark.parametrize(
    ("direction", "asleep"),
    [("out", False), ("in", False), ("in", True)],
    ids=["calls", "is called", "is woken"],
)
async def test_what_it_tells_after_the_answer_is_heeded(scene: Scene, direction: str, asleep: bool) -> None:
    trace = PbxTrace(scene.stack)
    outgoing, incoming, bobs = await connected(scene, direction, asleep=asleep)
    outgoing.audio.send_tone(CALLER_TONE)
    assert await incoming.audio.silent(), "it was heard before anybody knew where it is"
    assert (await trickle(bobs)).status == 200
    await assert_they_hear_each_other(outgoing, incoming)

    assert (await bobs.hold()).status == 200
    assert await (outgoing if bobs is incoming else incoming).audio.heard(HOLD_TONE)
    assert (await bobs.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)
    assert_the_pbx_read_nothing(trace)


async def test_what_it_tells_in_an_early_dialog_is_heeded(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("browser", transport="wss", kind=Trickling)
    announcing = ("Progress()", f"PlayTones({ANNOUNCEMENT})", "Wait(60)")
    with pbx_numbers(scene.stack.pbx, {LATE: announcing}):
        call = await bob.phone.call(LATE)
        progress = await bob.phone.wait_for(lambda m: m.direction == "in" and m.status == 183)
        assert isinstance(progress.message, Response)
        assert progress.message.headers["Recv-Info"] == "trickle-ice"
        assert call._transaction is not None
        early = Dialog.of_caller(call._transaction.request, progress.message, call._sequence)
        assert (await trickle(call, early=early)).status == 200
        assert await call.audio.heard(ANNOUNCEMENT, 5)
        assert call.final is None
        await call.cancel()
        await call.ended()
    await nothing_relayed(scene.stack)


async def test_what_it_tells_while_it_rings_waits_for_its_description(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=Trickling), await scene.caller()
    bob.phone.on_invite = Answer(answer_after=None)
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await incoming.ringing()
    assert incoming.request.headers["Recv-Info"] == "trickle-ice"
    assert b"a=ice-options:trickle" in incoming.request.body
    trace = PbxTrace(scene.stack)
    await ring_with(bob.phone, incoming, WILLING)
    assert (await trickle(incoming)).status == 200
    await asyncio.sleep(FORGETS + 0.5)
    incoming.answer()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)
    assert trace.messages("in", "INVITE", 180)
    assert_the_pbx_read_nothing(trace)


BAD = {
    "no fragment": (b"what is this", HEADERS, 400),
    "no media": (b"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n", HEADERS, 400),
    "nothing": (b"", HEADERS, 400),
    "not text": (b"m=audio 9 RTP/AVP 0\r\na=mid:\xff\xfe\x00\r\n", HEADERS, 400),
    "of another kind": (b"v=0\r\n", (HEADERS[0], ("Content-Type", "application/sdp")), 415),
}


@pytest.mark.parametrize("bad", BAD)
@DIRECTION
async def test_a_bad_fragment_is_refused_and_harms_nothing(scene: Scene, direction: str, bad: str) -> None:
    body, headers, status = BAD[bad]
    outgoing, incoming, bobs = await connected(scene, direction)
    assert (await trickle(bobs, body, headers)).status == status
    assert (await trickle(bobs)).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    assert (await trickle(bobs, body, headers)).status == status
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize(
    "other", [(b"a=ice-ufrag:", b"a=ice-ufrag:x"), (b"a=mid:", b"a=mid:x"), (b"a=candidate:", b"a=other:")],
    ids=["generation", "stream", "news"],
)  # fmt: skip
@DIRECTION
async def test_what_is_of_no_use_is_taken_and_harms_nothing(
    scene: Scene, direction: str, other: tuple[bytes, bytes]
) -> None:
    outgoing, incoming, bobs = await connected(scene, direction)
    assert isinstance(bobs.audio, _Trickling)
    useless = bobs.audio.fragment().replace(*other)
    assert (await trickle(bobs, useless)).status == 200
    assert (await trickle(bobs)).status == 200
    assert (await trickle(bobs, useless)).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    assert (await trickle(bobs, useless)).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])
async def test_who_tells_nothing_by_info_is_heard_and_hears(scene: Scene, calls: bool) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=Untold), await scene.caller()
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
