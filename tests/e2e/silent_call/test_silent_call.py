"""Neither side sends audio any more: the call is ended on both sides, and the journal says why. On hold it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from demo.phone import Call, Phone
from demo.stack import Stack
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Handset, Scene, answered, assert_they_hear_each_other
from tests.fixtures.webrtc import WebRtcPhone

SILENCE = 2  # s
WHY = f"no audio from either side for {SILENCE} s"


@pytest.fixture(autouse=True)
def impatient(stack: Stack) -> Iterator[None]:
    """An edge agent that ends silent calls soon."""
    settings = stack.home / "nightbell.toml"
    before = settings.read_text(encoding="utf-8")
    settings.write_text(before.replace("[edge]\n", f"[edge]\nsilence = {SILENCE}\n"), encoding="utf-8")
    stack.edge.restart()
    yield
    settings.write_text(before, encoding="utf-8")
    stack.edge.restart()


class BehindNat(Phone):
    """A phone whose Contact is an address of its own network (RFC 5737)."""

    async def start(self) -> None:
        """Open the way to the server."""
        await super().start()
        transport = self._awake().endpoint.transport
        transport.contact = f"192.0.2.7:{transport.contact.rpartition(':')[2]}"


async def talk(scene: Scene, bob: Handset, *, calls: bool) -> tuple[Call, Call]:
    """Bob's and Alice's ends of a call, in which both are heard."""
    alice = await scene.caller()
    caller, called = (bob.phone, alice) if calls else (alice, bob.phone)
    outgoing = await caller.call(ALICE if calls else BOB)
    incoming = await called.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    return (outgoing, incoming) if calls else (incoming, outgoing)


@pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])
@pytest.mark.parametrize(
    ("kind", "transport"),
    [(Phone, "udp"), (BehindNat, "udp"), (WebRtcPhone, "wss")],
    ids=["phone", "behind NAT", "browser"],
)
async def test_s5_a_call_without_audio_is_ended_and_says_why(
    scene: Scene, kind: type[Phone], transport: str, calls: bool
) -> None:
    await scene.extension()
    bob = await scene.awake("phone", kind=kind, transport=transport)
    ours, theirs = await talk(scene, bob, calls=calls)

    ours.audio.never_send()
    await asyncio.sleep(2 * SILENCE)
    assert ours.end is None, "one side alone may be silent"
    theirs.audio.never_send()

    assert (await ours.ended(3 * SILENCE)).cause == "bye"
    assert (await theirs.ended(3 * SILENCE)).cause == "bye"
    story = await scene.story("answered", "bye")
    assert [beat.detail for beat in story.beats if beat.step.step == "bye"] == [WHY]
    await nothing_relayed(scene.stack)
    assert story.quality is not None


async def test_s5_a_call_on_hold_may_be_silent(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("browser", transport="wss", kind=WebRtcPhone)
    ours, theirs = await talk(scene, bob, calls=False)
    theirs.audio.never_send()

    assert (await ours.hold()).status == 200
    await asyncio.sleep(3 * SILENCE)

    assert ours.end is None
    assert (await ours.resume()).status == 200
    assert await theirs.audio.heard(880)
    await theirs.hangup()
    await ours.ended()
