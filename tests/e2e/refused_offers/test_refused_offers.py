"""An offer within a call that comes to nothing changes nothing: both ends hear each other afterwards, whoever had offered what.

The PBX is a phone of ours, as a real one takes nearly every offer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from demo.phone import Call, Phone
from demo.stack import Stack
from tests.e2e.offers import SILENCE, Offered, describe_elsewhere, give_up_an_offer, offer_by_update
from tests.e2e.peer_pbx import PeerPbx
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import Scene, assert_they_hear_each_other
from tests.fixtures.phones import Phones
from tests.fixtures.sdes import SdesPhone
from tests.fixtures.webrtc import WebRtcPhone

KINDS: dict[str, tuple[type[Phone], str]] = {
    "plain": (Phone, "udp"),
    "webrtc": (WebRtcPhone, "wss"),
    "sdes": (SdesPhone, "tls"),
}
# The kind of the device, who calls, who offers within the call.
EVERY = [
    f"{kind}, {calls} calls, {offers} offers"
    for kind in KINDS
    for calls in ("device", "pbx")
    for offers in ("device", "pbx")
]
SOME = [EVERY[0], EVERY[3], EVERY[5], EVERY[6]]
BY_A_PHONE = [EVERY[0], EVERY[3], EVERY[5]]  # which can be told more of than one that speaks WebRTC


@dataclass
class Talk:
    """A call that is up. ``who`` offers within it, ``other`` is told what to do with that."""

    who: Call
    other: Call
    offered: Offered

    async def both_hear(self) -> None:
        await assert_they_hear_each_other(self.who, self.other)


@pytest_asyncio.fixture
async def talk(
    scene: Scene, phones: Phones, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Talk]:
    kind, calls, offers = request.param.split(", ")
    before = remembered(scene.stack)
    phone, transport = KINDS[kind]
    bob = await scene.awake(kind, kind=phone, transport=transport)
    pbx = await PeerPbx.start(scene, phones)
    ours, theirs = await pbx.talk(bob.phone, bob_calls=calls == "device calls")
    who, other = (ours, theirs) if offers == "device offers" else (theirs, ours)
    talk = Talk(who, other, Offered(other, monkeypatch))
    await talk.both_hear()
    yield talk
    assert (await theirs.hangup()).status == 200
    assert (await ours.ended()).cause == "bye"
    await nothing_relayed(scene.stack)
    assert remembered(scene.stack) <= before, "Kamailio remembers a call that is over"


def remembered(stack: Stack) -> set[str]:
    """The calls that Kamailio knows an agreement of."""
    return {slot["name"] for entry in stack.rpc("htable.dump", "agreed") for slot in entry["slot"]}


@pytest.mark.parametrize("talk", EVERY, indirect=True)
async def test_s4_a_hold_is_refused(talk: Talk) -> None:
    talk.offered.status = 488
    assert (await talk.who.hold()).status == 488
    await talk.both_hear()


@pytest.mark.parametrize("talk", SOME, indirect=True)
async def test_s4_what_holds_is_what_was_agreed_upon_last(talk: Talk) -> None:
    talk.offered.status = None
    assert (await talk.who.hold()).status == 200
    assert await talk.who.audio.silent()
    talk.offered.status = 491
    assert (await talk.who.resume()).status == 491
    assert await talk.who.audio.silent(), "the hold that was agreed upon is gone"
    talk.offered.status = None
    assert (await talk.who.resume()).status == 200
    await talk.both_hear()
    talk.offered.status = 500
    assert (await talk.who.hold()).status == 500
    await talk.both_hear()


@pytest.mark.parametrize("talk", SOME, indirect=True)
async def test_s4_nobody_answers_the_offer(talk: Talk) -> None:
    talk.offered.status = SILENCE
    assert (await talk.who.hold()).status == 408
    await talk.both_hear()


@pytest.mark.parametrize("talk", BY_A_PHONE, indirect=True)
async def test_s4_audio_that_was_to_go_elsewhere_goes_on_where_it_went(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_elsewhere(talk.who, monkeypatch)
    talk.offered.status = 488
    assert (await talk.who.resume()).status == 488
    await talk.both_hear()


@pytest.mark.parametrize("talk", BY_A_PHONE, indirect=True)
async def test_s4_the_offer_is_given_up(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    describe_elsewhere(talk.who, monkeypatch)
    assert (await give_up_an_offer(talk.who, talk.offered)).status == 487
    await talk.both_hear()


@pytest.mark.parametrize("talk", BY_A_PHONE, indirect=True)
async def test_s4_an_update_is_refused_and_then_taken(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        describe_elsewhere(talk.who, elsewhere)
        for status in (488, 491, SILENCE):
            talk.offered.status = status
            assert (await offer_by_update(talk.who)).status == (status or 408)
            await talk.both_hear()
    talk.offered.status = None
    talk.who.on_hold = True
    assert (await offer_by_update(talk.who)).status == 200
    assert await talk.who.audio.silent(), "the hold by UPDATE does not work"
    talk.who.on_hold = False
    assert (await offer_by_update(talk.who)).status == 200
    await talk.both_hear()


async def let_offers_cross(talk: Talk) -> None:
    """Both offer at once. Where one had its answer before the other left, nothing has crossed: it is undone, and tried again."""
    sides = (talk.who, talk.other)
    for _ in range(5):
        replies = await asyncio.gather(*(side.hold() for side in sides))
        if all(reply.status == 491 for reply in replies):
            return
        for side, reply in zip(sides, replies, strict=True):
            assert reply.status in (200, 491)
            if reply.status == 200:
                assert (await side.resume()).status == 200
    pytest.fail("the two offers have never met on their way")


@pytest.mark.parametrize("talk", [EVERY[0], EVERY[2]], indirect=True)
async def test_s4_both_offer_at_once_and_one_of_them_again(talk: Talk) -> None:
    await let_offers_cross(talk)
    await talk.both_hear()
    assert (await talk.other.hold()).status == 200
    assert await talk.other.audio.silent()
    assert (await talk.other.resume()).status == 200
    await talk.both_hear()
