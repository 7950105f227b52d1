"""Calls whose ends come in another order than one would think of: nothing of them is left, whatever crosses what."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from demo.phone import Answer, IncomingCall, Phone
from tests.e2e.link import UdpLink
from tests.e2e.relay import no_longer_tracked, nothing_relayed, relayed_calls, tracked_calls
from tests.e2e.requests_that_cross.raw_pbx import RawPbx
from tests.e2e.scene import Scene

AT_ONCE = Answer(answer_after=0)


@pytest.fixture
async def link(scene: Scene) -> AsyncIterator[UdpLink]:
    async with UdpLink(scene.stack.sip_address(), scene.stack.address) as link:
        yield link


async def nothing_left(scene: Scene, pbx: RawPbx) -> None:
    """Neither a dialog in Kamailio nor a call in rtpengine."""
    await nothing_relayed(scene.stack, within=6.0)
    await no_longer_tracked(scene.stack, pbx.call_id)


async def answered(scene: Scene, pbx: RawPbx, link: UdpLink) -> tuple[Phone, IncomingCall]:
    """A call that Bob has answered, and the PBX has not acknowledged."""
    bob = await scene.awake("phone", server=link.address, push=False)
    bob.phone.on_invite = AT_ONCE
    await pbx.call()
    assert relayed_calls(scene.stack) == [pbx.call_id]
    assert tracked_calls(scene.stack, pbx.call_id) == 1
    return bob.phone, await bob.phone.incoming()


def answers(phone: Phone) -> int:
    """How often a phone has said that it takes a call."""
    return len([m for m in phone.messages if (m.direction, m.method, m.status) == ("out", "INVITE", 200)])


@pytest.mark.parametrize(
    "burst",
    [("ACK", "BYE"), ("BYE", "ACK"), ("BYE",), ("ACK", "BYE", "BYE"), ("ACK", "ACK", "BYE", "ACK")],
    ids=" ".join,
)
async def test_the_pbx_ends_the_call_as_it_begins(
    scene: Scene, pbx: RawPbx, link: UdpLink, burst: tuple[str, ...]
) -> None:
    _, incoming = await answered(scene, pbx, link)
    pbx.send(*burst)
    assert (await incoming.ended()).cause == "bye"
    await nothing_left(scene, pbx)


async def test_both_sides_end_it_at_once(scene: Scene, pbx: RawPbx, link: UdpLink) -> None:
    _, incoming = await answered(scene, pbx, link)
    pbx.send("ACK")
    await incoming.answered()
    pbx.send("BYE")
    await incoming.hangup()
    await nothing_left(scene, pbx)


async def test_a_phone_that_does_not_hear_the_bye_goes_on_answering(
    scene: Scene, pbx: RawPbx, link: UdpLink
) -> None:
    """Kamailio finds that critical and says so in its log; it harms nobody."""
    phone, incoming = await answered(scene, pbx, link)
    link.deaf = True
    pbx.send("BYE")
    heard = answers(phone)
    await phone.until(lambda: answers(phone) > heard, what="it repeats its answer")
    link.deaf = False
    assert (await incoming.ended()).cause == "bye"
    await nothing_left(scene, pbx)
