"""Bob's app calls out, and the PBX says no: Bob learns why, and never by a challenge he could not answer."""

from __future__ import annotations

import pytest
from sipmessage import Request

from control.domain.secret import Secret
from demo.phone import CallRefusedError, OutgoingCall
from kemi.wire import TABLE_CONNECTION, ConnectionDoc
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, Handset, Scene, steps_of
from tests.e2e.scripted_pbx import ScriptedPbx

ECHO = "600"
NOBODY = "4711"  # a number that the PBX's dial plan does not have


async def refused(handset: Handset, number: str) -> OutgoingCall:
    """Call, and be refused."""
    call = await handset.phone.call(number)
    with pytest.raises(CallRefusedError):
        await call.answered()
    return call


def challenges_shown(handset: Handset) -> list[int]:
    """The challenges to its INVITE that the device was shown: one, by Nightbell itself."""
    return [m.status for m in handset.phone.messages if m.method == "INVITE" and m.status in (401, 407)]


async def test_a_number_the_pbx_does_not_know(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension()
    bob = await scene.awake("phone")

    call = await refused(bob, NOBODY)

    assert call.final is not None
    assert call.final.status == 404
    await pbx_trace.wait_for("out", "INVITE", 404)
    assert challenges_shown(bob) == [407]
    story = await scene.story("failed")
    assert [(beat.step.step, beat.step.code) for beat in story.beats][-1] == ("failed", 404)


async def test_s7_the_pbx_refuses_the_extensions_credential(scene: Scene, pbx_trace: PbxTrace) -> None:
    stack = scene.stack
    scene.connection = await stack.add_connection(BOB, "bob", password=Secret("not-the-password"))

    def has_credential() -> bool:
        return bool(ConnectionDoc.decode(stack.table(TABLE_CONNECTION, scene.connection) or "").ha1_md5)

    await stack.eventually(has_credential, "Nightbell has learnt the PBX's realm")
    bob = await scene.awake("phone")

    call = await refused(bob, ECHO)

    assert call.final is not None
    assert call.final.status == 403
    assert "credential of the connection" in call.final.headers["Reason"]
    assert challenges_shown(bob) == [407], "the PBX's challenge was shown to the device"
    await pbx_trace.wait_for("in", "ACK")
    assert len(pbx_trace.messages("in", "INVITE")) == 2, "asked once, answered once, and no more"
    assert steps_of(await scene.story("failed"))[-1] == "failed"


async def test_s7_a_challenge_for_another_realm_gets_no_answer(scene: Scene) -> None:
    def script(request: Request) -> tuple[int, list[tuple[str, str]]]:
        return 401, [("WWW-Authenticate", 'Digest realm="somewhere else", nonce="abc", qop="auth"')]

    async with ScriptedPbx(script) as pbx:
        await pbx.start(scene.stack.address)
        await scene.stack.add_connection(BOB, "bob", port=pbx.port, realm="asterisk", register=False)
        bob = await scene.awake("phone")

        call = await refused(bob, ECHO)

        assert call.final is not None
        assert call.final.status == 403
        invites = pbx.of("INVITE")
        assert invites
        assert not [r for r in invites if r.headers.get("Authorization")], (
            "a stranger was offered a credential"
        )


async def test_a_pbx_that_says_nothing(scene: Scene) -> None:
    async with ScriptedPbx(lambda request: None) as pbx:
        await pbx.start(scene.stack.address)
        await scene.stack.add_connection(BOB, "bob", port=pbx.port, realm="asterisk", register=False)
        bob = await scene.awake("phone")

        call = await refused(bob, ECHO)

        assert call.final is not None
        assert call.final.status == 408
        assert len(pbx.of("INVITE")) > 1, "a lost INVITE was not sent again"


async def test_a_device_whose_person_has_no_extension(scene: Scene, pbx_trace: PbxTrace) -> None:
    bob = await scene.awake("phone")

    call = await refused(bob, ECHO)

    assert call.final is not None
    assert call.final.status == 404
    assert not pbx_trace.messages("in", "INVITE")


async def test_a_number_with_characters_no_pbx_understands(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension()
    bob = await scene.awake("phone")

    call = await refused(bob, "sip:600%0d%0aX-Evil%3a%201@nightbell.test")

    assert call.final is not None
    assert call.final.status == 484
    assert not pbx_trace.messages("in", "INVITE")
