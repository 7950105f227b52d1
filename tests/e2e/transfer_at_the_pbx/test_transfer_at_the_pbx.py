"""The other side of a call hands Bob over to Carol, at once or after asking her. And a PBX asks his device to call elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from demo.phone import Call, OutgoingCall, Phone
from demo.phone.message import tag_of
from demo.stack import Stack
from tests.e2e.in_dialog import send_in_dialog
from tests.e2e.pbx_setup import pbx_numbers
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import ALICE, BOB, CAROL, Handset, Scene, answered, assert_they_hear_each_other
from tests.fixtures.webrtc import WebRtcPhone

ASKS_TO_CALL_CAROL = "697"
DEVICE = pytest.mark.parametrize(
    ("kind", "transport"), [(Phone, "udp"), (WebRtcPhone, "wss")], ids=["phone", "browser"]
)
CALLS = pytest.mark.parametrize("calls", [True, False], ids=["calls", "is called"])


async def talk(scene: Scene, bob: Handset, alice: Phone, *, calls: bool) -> tuple[Call, Call]:
    """Bob's and Alice's ends of a call, in which both are heard."""
    outgoing = await (bob.phone if calls else alice).call(ALICE if calls else BOB)
    incoming = await (alice if calls else bob.phone).incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    return (outgoing, incoming) if calls else (incoming, outgoing)


async def refer(scene: Scene, phone: Phone, call: Call, target: str) -> None:
    """Hand the other end of the call over to a number, or to whom a Replaces in it means (RFC 3515, RFC 3891)."""
    headers = (("Refer-To", f"<{target}>"), ("Contact", call._core.contact))
    assert (await send_in_dialog(phone, call, "REFER", headers)).status == 202


def pbx_uri(scene: Scene, number: str) -> str:
    address, port = scene.stack.pbx_address
    return f"sip:{number}@{address}:{port}"


def replaces(call: OutgoingCall) -> str:
    """The call, as its other end knows it (RFC 3891 §3)."""
    assert call.dialog is not None
    tags = f"to-tag={tag_of(call.dialog.remote)};from-tag={tag_of(call.dialog.local)}"
    return quote(f"{call.call_id};{tags}", safe="")


@CALLS
@DEVICE
async def test_alice_hands_bob_over_at_once(
    scene: Scene, kind: type[Phone], transport: str, calls: bool
) -> None:
    await scene.extension()
    bob = await scene.awake("phone", kind=kind, transport=transport)
    alice, carol = await scene.caller(), await scene.caller(CAROL)
    ours, theirs = await talk(scene, bob, alice, calls=calls)

    await refer(scene, alice, theirs, pbx_uri(scene, CAROL))
    at_carol = await carol.incoming()
    await theirs.hangup()  # as phones do once they are told that it rings there
    await at_carol.answered()
    await assert_they_hear_each_other(ours, at_carol)

    assert (await ours.hangup()).status == 200
    await at_carol.ended()
    await nothing_relayed(scene.stack)


@CALLS
@DEVICE
async def test_alice_asks_carol_first(scene: Scene, kind: type[Phone], transport: str, calls: bool) -> None:
    await scene.extension()
    bob = await scene.awake("phone", kind=kind, transport=transport)
    alice, carol = await scene.caller(), await scene.caller(CAROL)
    ours, theirs = await talk(scene, bob, alice, calls=calls)

    assert (await theirs.hold()).status == 200
    asking = await alice.call(CAROL)
    at_carol = await carol.incoming()
    await answered(asking, at_carol)
    await assert_they_hear_each_other(asking, at_carol)
    await refer(scene, alice, theirs, f"{pbx_uri(scene, CAROL)}?Replaces={replaces(asking)}")
    assert (await asking.ended()).cause == "bye"
    await assert_they_hear_each_other(ours, at_carol)

    assert (await at_carol.hangup()).status == 200
    assert (await ours.ended()).cause == "bye"
    await nothing_relayed(scene.stack)


@pytest.fixture
def transferring(stack: Stack) -> Iterator[None]:
    """A number at which the PBX itself asks who has called to call Carol instead."""
    steps = ("Answer()", "Wait(1)", f"Transfer(PJSIP/sip:{CAROL}@{stack.address})", "Echo()")
    with pbx_numbers(stack.pbx, {ASKS_TO_CALL_CAROL: steps}, "app_transfer"):
        yield


@pytest.mark.usefixtures("transferring")
async def test_a_pbx_that_asks_the_device_to_call_elsewhere_is_understood_and_refused_without_harm(
    scene: Scene,
) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    call = await bob.phone.call(ASKS_TO_CALL_CAROL)
    await call.answered()
    asked = await bob.phone.wait_for(lambda m: m.direction == "in" and m.method == "REFER")
    assert CAROL in asked.message.headers["Refer-To"]
    call.audio.send_tone(440)
    assert await call.audio.heard(440, 5), "the PBX has not learned that the device refused"
    assert (await call.hangup()).status == 200
    await nothing_relayed(scene.stack)
