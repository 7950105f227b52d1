"""Bob's phone is out of battery: the push is accepted, and nothing comes of it.

The PBX hears 100 at once and 480 with a reason when the wait is over, which is before its own patience ends: the caller reaches
the voicemail.
"""

from __future__ import annotations

from demo.pbx.server import VOICEMAIL_TONE
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, Scene, about, call_reference, invites, steps_of

WAIT = 3.0


async def test_w8_the_pbx_gets_480_with_a_reason_and_goes_on_to_the_voicemail(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension(wait=WAIT)
    bob = await scene.asleep("Bob's phone", wakes=False)
    alice = await scene.caller()
    voicemails = len(scene.stack.pbx.voicemails())

    outgoing = await alice.call(BOB)
    await outgoing.answered()  # by the voicemail
    assert await outgoing.audio.heard(VOICEMAIL_TONE, within=3.0)

    (invite,) = pbx_trace.messages("out", "INVITE")
    (trying,) = pbx_trace.messages("in", "INVITE", 100)
    (refused,) = pbx_trace.messages("in", "INVITE", 480)
    assert trying.at - invite.at < 0.3
    assert refused.at - invite.at == about(WAIT)
    assert refused.header("Reason") == 'SIP;cause=480;text="No device woke up in time"'
    assert scene.stack.pbx.voicemails()[voicemails:] == [(BOB, "NOANSWER")]
    story = await scene.story("failed", "wake-deadline")
    assert (story.head.outcome, story.head.code) == ("failed", 480)
    assert steps_of(story)[:3] == ["invite-in", "push-sent", "push-accepted"]
    await outgoing.hangup()
    assert len(scene.pushes(bob)) == 1


async def test_w8_a_phone_that_comes_too_late_learns_it_and_does_not_ring(scene: Scene) -> None:
    await scene.extension(wait=1.0)
    bob = await scene.asleep("Bob's phone", wakes=False)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    push = await scene.pushed(bob)
    await outgoing.answered()  # by the voicemail
    late = await bob.phone.wake()

    assert late.headers.get("Nightbell-Call") == f"{call_reference(push)};state=deadline"
    assert invites(bob.phone) == []
    await outgoing.hangup()


async def test_w8_a_line_without_any_push_token_is_said_to_be_so_at_once(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension(wait=10.0)
    bob = await scene.awake("Bob's desk phone", push=False)
    await scene.put_to_sleep(bob)
    alice = await scene.caller()

    outgoing = await alice.call(BOB)
    refused = await pbx_trace.wait_for("in", "INVITE", 480, within=2.0)

    assert refused.header("Reason") == 'SIP;cause=480;text="No push token"'
    story = await scene.story("failed", "gave-up")
    assert story.summary == "Not answered: no push token (480)."
    await outgoing.answered()  # by the voicemail
    await outgoing.hangup()
