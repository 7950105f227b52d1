"""The description comes early, in a 183 that is acknowledged by PRACK (RFC 3262); the 200 has none. Both ends are heard."""

from __future__ import annotations

import asyncio

import pytest

from demo.phone import Answer, IncomingCall, OutgoingCall, sdp
from tests.e2e.offers import Offered, offer_by_update
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.peer_pbx import PeerPbx
from tests.e2e.relay import nothing_relayed
from tests.e2e.reliable import SUPPORTED, EarlyCallee, acknowledge_early
from tests.e2e.scene import ALICE, BOB, CALLEE_TONE, Scene, assert_they_hear_each_other, hang_up
from tests.fixtures.phones import Phones

WAITS = Answer(ring_after=None, answer_after=None)


async def heard_early_and_answered(
    outgoing: OutgoingCall, incoming: IncomingCall, early: EarlyCallee, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are heard before the answer, after it, and after a hold that was refused."""
    await assert_they_hear_each_other(outgoing, incoming)
    early.answer()
    await asyncio.gather(outgoing.answered(), incoming.answered())
    await assert_they_hear_each_other(outgoing, incoming)
    for end, other in ((outgoing, incoming), (incoming, outgoing)):
        with monkeypatch.context() as patch:
            Offered(other, patch).status = 488
            assert (await end.hold()).status == 488
        await assert_they_hear_each_other(outgoing, incoming)


@pytest.mark.parametrize("late_offer", [False, True], ids=["offer in the INVITE", "offer in the 183"])
@pytest.mark.parametrize("bob_calls", [True, False], ids=["device calls", "pbx calls"])
async def test_s4_an_early_answer(
    scene: Scene, phones: Phones, bob_calls: bool, late_offer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pbx = await PeerPbx.start(scene, phones)
    pbx.phone.challenges = True
    bob = (await scene.awake("phone")).phone
    caller, callee = (bob, pbx.phone) if bob_calls else (pbx.phone, bob)
    callee.on_invite = WAITS
    caller.offers_late = late_offer
    outgoing = await caller.call("600" if bob_calls else pbx.uri, SUPPORTED)
    incoming = await callee.incoming()
    early = EarlyCallee(incoming, monkeypatch)
    early.progress()
    assert (await acknowledge_early(caller, outgoing)).status == 200
    rack = (await early.acknowledged()).headers["RAck"]
    assert rack == f"71 {incoming.request.headers['CSeq']}", "it acknowledges another request"
    await heard_early_and_answered(outgoing, incoming, early, monkeypatch)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("bob_calls", [True, False], ids=["device calls", "pbx calls"])
async def test_s4_the_acknowledgement_offers_anew(
    scene: Scene, phones: Phones, bob_calls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pbx = await PeerPbx.start(scene, phones)
    bob = (await scene.awake("phone")).phone
    caller, callee = (bob, pbx.phone) if bob_calls else (pbx.phone, bob)
    callee.on_invite = WAITS
    outgoing = await caller.call("600" if bob_calls else pbx.uri, SUPPORTED)
    incoming = await callee.incoming()
    early = EarlyCallee(incoming, monkeypatch)
    early.progress()
    incoming.audio.send_tone(CALLEE_TONE)
    assert await outgoing.audio.heard(CALLEE_TONE)
    outgoing.on_hold = True
    assert (await acknowledge_early(caller, outgoing, offers=True)).status == 200
    offered = sdp.parse((await early.acknowledged()).body)
    assert (offered.direction, offered.port != outgoing.audio.port) == ("sendonly", True), "not by the relay"
    assert await outgoing.audio.silent(), "the hold in the PRACK does not work"
    early.answer()
    await asyncio.gather(outgoing.answered(), incoming.answered())
    assert (await outgoing.resume()).status == 200
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_s4_asterisk_wants_its_provisional_answers_acknowledged(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    with pbx_set(scene.stack.pbx, BOB, "endpoint", **{"100rel": "required"}):
        alice.on_invite = Answer(ring_after=0, answer_after=None)
        outgoing = await bob.phone.call(ALICE, SUPPORTED)
        incoming = await alice.incoming()
        assert (await acknowledge_early(bob.phone, outgoing)).status == 200
        incoming.answer()
        await asyncio.gather(outgoing.answered(), incoming.answered())
        await assert_they_hear_each_other(outgoing, incoming)
        await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_s4_asterisk_acknowledges_those_of_a_device(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    bob.phone.on_invite = WAITS
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    early = EarlyCallee(incoming, monkeypatch)
    early.progress()
    await early.acknowledged()
    early.answer()
    await asyncio.gather(outgoing.answered(), incoming.answered())
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("bob_calls", [True, False], ids=["device calls", "pbx calls"])
async def test_s4_an_update_before_the_answer(
    scene: Scene, phones: Phones, bob_calls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the callee is not the one any more who rang first (RFC 3311)."""
    pbx = await PeerPbx.start(scene, phones)
    pbx.phone.challenges = True
    bob = (await scene.awake("phone")).phone
    caller, callee = (bob, pbx.phone) if bob_calls else (pbx.phone, bob)
    callee.on_invite = WAITS
    outgoing = await caller.call("600" if bob_calls else pbx.uri, SUPPORTED)
    incoming = await callee.incoming()
    early = EarlyCallee(incoming, monkeypatch)
    early.progress()
    assert (await acknowledge_early(caller, outgoing)).status == 200
    await assert_they_hear_each_other(outgoing, incoming)

    offered = Offered(outgoing, monkeypatch)
    monkeypatch.setattr(outgoing, "owns", lambda request: request.headers["Call-ID"] == outgoing.call_id)
    incoming.on_hold = True
    assert (await offer_by_update(incoming)).status == 200
    assert await incoming.audio.silent()
    incoming.on_hold = False
    offered.status = 500
    assert (await offer_by_update(incoming)).status == 500
    assert await incoming.audio.silent(), "what was agreed upon is gone"
    offered.status = None
    assert (await offer_by_update(incoming)).status == 200
    await heard_early_and_answered(outgoing, incoming, early, monkeypatch)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)
