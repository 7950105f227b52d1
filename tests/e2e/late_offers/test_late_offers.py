"""Who calls leaves the offer to who answers: it is in the 200, the answer in the ACK. Gateways do it, and PBXs within a call."""

from __future__ import annotations

import pytest

from demo.phone import Answer, Call, Phone
from tests.e2e.offers import Offered
from tests.e2e.peer_pbx import PeerPbx
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, Handset, Scene, answered, assert_they_hear_each_other, hang_up
from tests.fixtures.phones import Phones
from tests.fixtures.sdes import SdesPhone
from tests.fixtures.webrtc import WebRtcPhone

KINDS: dict[str, tuple[type[Phone], str]] = {
    "plain": (Phone, "udp"),
    "sdes": (SdesPhone, "tls"),
    "webrtc": (WebRtcPhone, "wss"),
}
KIND = pytest.mark.parametrize("kind", KINDS)


async def device(scene: Scene, kind: str, asleep: bool = False) -> Handset:
    phone, transport = KINDS[kind]
    return await (scene.asleep if asleep else scene.awake)(kind, kind=phone, transport=transport)


@KIND
@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "asleep"])
async def test_s4_a_pbx_calls_without_an_offer(scene: Scene, phones: Phones, kind: str, asleep: bool) -> None:
    pbx = await PeerPbx.start(scene, phones)
    bob = await device(scene, kind, asleep)
    pbx.phone.offers_late = True
    outgoing = await pbx.phone.call(pbx.uri)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)

    for end in (outgoing, incoming):
        assert (await end.hold()).status == 200
        assert await end.audio.silent()
        assert (await end.resume()).status == 200
        await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("winner", ["browser", "phone"])
async def test_s4_of_a_mixed_fork_either_offers(scene: Scene, phones: Phones, winner: str) -> None:
    pbx = await PeerPbx.start(scene, phones)
    both = {"phone": await device(scene, "plain"), "browser": await device(scene, "webrtc")}
    for name, handset in both.items():
        if name != winner:
            handset.phone.on_invite = Answer(answer_after=None)
    pbx.phone.offers_late = True
    outgoing = await pbx.phone.call(pbx.uri)
    incoming = await both[winner].phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_s4_a_device_calls_without_an_offer(scene: Scene) -> None:
    """Through Asterisk, which challenges the INVITE first."""
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    bob.phone.offers_late = True
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@KIND
@pytest.mark.parametrize("bob_calls", [True, False], ids=["device calls", "pbx calls"])
async def test_s4_an_offer_is_asked_for_within_a_call(
    scene: Scene, phones: Phones, kind: str, bob_calls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pbx = await PeerPbx.start(scene, phones)
    bob = await device(scene, kind)
    ours, theirs = await pbx.talk(bob.phone, bob_calls)
    await assert_they_hear_each_other(ours, theirs)
    asking: list[Call] = [theirs] if kind == "webrtc" else [theirs, ours]  # a browser never asks
    for end in (*asking, theirs):
        assert (await end.ask_for_offer()).status == 200
        await assert_they_hear_each_other(ours, theirs)

    Offered(ours, monkeypatch).status = 488
    assert (await theirs.hold()).status == 488
    await assert_they_hear_each_other(ours, theirs)
    await theirs.hangup()
    await nothing_relayed(scene.stack)
