"""A phone rings and loses its network; then the caller gives up.

Nobody answers the CANCEL, nor the INVITE. The call is over all the same, for the caller and in every book that is kept of it; and
the phone, when it is back, rings for nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sipmessage import Request

from control.domain.fallback import DEVICE, Fallback
from control.services import fallbacks, people
from demo.phone import Answer
from demo.phone.client_transaction import cancellation
from kemi.wire import TABLE_FALLBACK
from tests.e2e.in_dialog import send
from tests.e2e.link import UdpLink
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.relay import nothing_relayed
from tests.e2e.scene import (
    ALICE,
    BOB,
    Scene,
    answered,
    assert_they_hear_each_other,
    hang_up,
    steps_of,
)
from tests.e2e.scripted_pbx import ScriptedPbx

RINGS = Answer(answer_after=None)
SOON = 3.0  # s; left to itself, Kamailio would wait for three minutes
CHALLENGE = ("WWW-Authenticate", 'Digest realm="asterisk", nonce="abc", algorithm=MD5, qop="auth"')


@pytest.fixture
async def link(scene: Scene) -> AsyncIterator[UdpLink]:
    async with UdpLink(scene.stack.sip_address(), scene.stack.address) as link:
        yield link


@pytest.mark.parametrize("push", [True, False], ids=["an app", "a desk phone"])
async def test_the_caller_is_answered_and_the_phone_that_is_back_rings_for_nobody(
    scene: Scene, link: UdpLink, pbx_trace: PbxTrace, push: bool
) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone", server=link.address, push=push), await scene.caller()
    bob.phone.on_invite = RINGS
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await scene.story("ringing")
    link.up = False

    await outgoing.cancel()

    ended = await pbx_trace.wait_for("in", "INVITE", 487)
    (cancel,) = pbx_trace.messages("out", "CANCEL")
    assert ended.at - cancel.at < SOON
    story = await scene.story("cancelled")
    assert (story.head.outcome, story.head.code) == ("cancelled", 487)
    assert "device-refused" not in steps_of(story), "it refused nothing"
    assert story.head.ended_at
    await nothing_relayed(scene.stack)
    assert link.lost["ACK"] == 1, "it is answered for once"

    link.up = True
    incoming.answer()  # it has not heard of the CANCEL
    assert (await incoming.ended()).cause == "bye"
    assert not pbx_trace.messages("in", "INVITE", 200)
    back = await bob.phone.register()
    assert back.headers.get("Nightbell-Call") == f"{story.head.call};state=cancelled"

    second = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await second.ringing()
    incoming.answer()
    await answered(second, incoming)
    await hang_up(second, incoming)


async def test_a_second_phone_that_is_there_is_cancelled_once_and_keeps_nobody_waiting(
    scene: Scene, link: UdpLink, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    gone, there = await scene.awake("gone", server=link.address), await scene.awake("there")
    alice = await scene.caller()
    gone.phone.on_invite = RINGS
    there.phone.on_invite = Answer(ring_after=None, answer_after=None)
    outgoing = await alice.call(BOB)
    incoming = await there.phone.incoming()
    await scene.story("ringing")
    link.up = False

    await outgoing.cancel()

    assert (await incoming.ended()).cause == "cancelled"
    await pbx_trace.wait_for("in", "INVITE", 487, within=SOON)
    await scene.story("cancelled")
    acks = [m for m in there.phone.messages if m.direction == "in" and m.method == "ACK"]
    assert len(acks) == 1, "nobody answers in its place"
    assert (await there.phone.register()).headers.get("Nightbell-Call") is None


async def test_a_fallback_that_is_gone_leaves_its_place_to_the_next_call(
    scene: Scene, link: UdpLink, pbx_trace: PbxTrace
) -> None:
    await scene.extension(wait=1.0)
    await scene.asleep("Bob's phone", wakes=False)
    dora = await scene.awake("Dora's phone", person="dora", server=link.address, push=False)
    dora.phone.on_invite = RINGS
    stack, aor = scene.stack, f"sip:bob@{scene.stack.domain}"
    with stack.store.write() as session:
        fallbacks.choose(session, people.get_user(session, "bob"), Fallback(DEVICE, dora.id))
    await stack.eventually(lambda: dora.id in (stack.table("line", aor) or ""), "Kamailio knows the fallback")
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await scene.story("fallback", "ringing", within=10.0)
    assert stack.table(TABLE_FALLBACK, aor)
    link.up = False

    await outgoing.cancel()

    await pbx_trace.wait_for("in", "INVITE", 487, within=SOON)
    await stack.eventually(lambda: not stack.table(TABLE_FALLBACK, aor), "the fallback's place is free", SOON)
    await nothing_relayed(stack, within=SOON)


@pytest.mark.parametrize("challenged", [False, True], ids=["trusting", "challenging"])
async def test_a_pbx_that_is_gone_keeps_no_device_waiting_and_its_late_answer_is_ended(
    scene: Scene, challenged: bool
) -> None:
    def script(request: Request) -> Any:
        if request.method == "CANCEL":
            return None
        if request.method == "INVITE" and challenged and not request.headers.get("Authorization"):
            return 401, [CHALLENGE]
        return (180 if request.method == "INVITE" else 200), []

    async with ScriptedPbx(script) as pbx:
        await pbx.start(scene.stack.address)
        scene.connection = await scene.stack.add_connection(
            BOB, "bob", port=pbx.port, realm="asterisk", register=False
        )
        bob = await scene.awake("phone")
        outgoing = await bob.phone.call(ALICE)
        await outgoing.ringing()

        await outgoing.cancel()

        assert (await outgoing.ended(SOON)).cause == "cancelled"
        assert outgoing.final is not None
        assert outgoing.final.status == 487
        assert (await scene.story("cancelled")).head.ended_at
        await nothing_relayed(scene.stack)

        invite = pbx.of("INVITE")[-1]
        pbx.answer(invite, 200, [("Contact", f"<sip:{ALICE}@{scene.stack.address}:{pbx.port}>")])
        await scene.stack.eventually(lambda: pbx.of("BYE"), "the late answer is ended")
        number = int(invite.headers["CSeq"].split()[0])
        assert pbx.of("BYE")[0].headers["CSeq"] == f"{number + 1} BYE"
        assert pbx.of("ACK")[-1].headers["CSeq"] == f"{number} ACK"
        assert not [m for m in bob.phone.messages if m.status == 200 and m.method == "INVITE"]


async def test_a_cancel_that_comes_after_the_pbxs_answer_leaves_the_call_its_media(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    """The phone decides what becomes of it: it may end the call by BYE, or keep it as this one does (RFC 3261, 9.1)."""
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    assert len(pbx_trace.messages("in", "INVITE")) == 2, "the PBX has challenged it"

    sent = [
        m.message for m in bob.phone.messages if (m.direction, m.method, m.status) == ("out", "INVITE", 0)
    ]
    invite = sent[-1]
    assert isinstance(invite, Request)
    await send(bob.phone, bytes(cancellation(invite)))

    with pytest.raises(AssertionError, match="let go"):
        await nothing_relayed(scene.stack, within=4.0)  # it would be deleted after three
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
