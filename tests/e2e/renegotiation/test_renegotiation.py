"""What two ends agree on anew within a call: another codec, or that they are still there. They hear each other afterwards."""

from __future__ import annotations

import pytest

from demo.phone import Call
from demo.phone.sdp import PCMA, PCMU, AudioStream, parse
from tests.e2e.in_dialog import send_in_dialog
from tests.e2e.offers import Offered, offer_by_update, refresh_by_update
from tests.e2e.peer_pbx import PeerPbx
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up
from tests.fixtures.phones import Phones

CALLS = pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])


def offer_alone(call: Call, payload: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this end offers one codec."""
    stream = AudioStream("127.0.0.1", call.audio.port, (payload,))
    monkeypatch.setattr(call, "_offer", lambda: stream.render(session=call.audio.port, version=9))


@CALLS
async def test_s4_a_device_changes_the_codec(
    scene: Scene, calls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    outgoing = await (bob.phone if calls else alice).call(ALICE if calls else BOB)
    incoming = await (alice if calls else bob.phone).incoming()
    ours: Call = outgoing if calls else incoming
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    for payload in (PCMA, PCMU, PCMA):
        offer_alone(ours, payload, monkeypatch)
        assert (await ours.resume()).status == 200
        answer = [m for m in bob.phone.messages if m.method == "INVITE" and m.status == 200][-1]
        assert answer.direction == "in"
        assert f"RTP/AVP {payload}\r\n".encode() in answer.message.body
        await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@CALLS
async def test_s4_a_session_is_refreshed_by_either_end(scene: Scene, calls: bool) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    outgoing = await (bob.phone if calls else alice).call(ALICE if calls else BOB)
    incoming = await (alice if calls else bob.phone).incoming()
    ours: Call = outgoing if calls else incoming
    theirs: Call = incoming if calls else outgoing
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)

    assert (await send_in_dialog(bob.phone, ours, "UPDATE")).status == 200, "without a description"
    await assert_they_hear_each_other(outgoing, incoming)
    for end in (ours, theirs):
        assert (await end.resume()).status == 200, "a re-INVITE that changes nothing"
        await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@CALLS
async def test_s4_a_session_is_refreshed_by_updates_of_either_end(
    scene: Scene, phones: Phones, calls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pbx = await PeerPbx.start(scene, phones)
    bob = await scene.awake("phone")
    ends = await pbx.talk(bob.phone, calls)
    offered = [Offered(end, monkeypatch) for end in ends]
    for end, to_other in zip(ends, reversed(offered), strict=True):
        assert (await refresh_by_update(end)).status == 200
        await assert_they_hear_each_other(*ends)
        assert (await offer_by_update(end)).status == 200
        offer = parse(to_other.transactions[-1].request.body)
        assert offer.port != end.audio.port, "not by the relay"
        await assert_they_hear_each_other(*ends)
    await ends[0].hangup()
    await nothing_relayed(scene.stack)
