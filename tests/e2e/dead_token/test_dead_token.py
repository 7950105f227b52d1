"""Bob has deleted the app. Its token is dead: the provider says so to the first push, and Nightbell forgets the token.

The call ends at once if there was no other way to wake anybody, and no later call asks the provider again. A provider's knowledge
can be older than the app's last registration: then the token stays.
"""

from __future__ import annotations

import time

import pytest

from control.services import tokens
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, Handset, Scene, answered, hang_up, steps_of

VERDICT = {"apns": (410, "apns Unregistered"), "fcm": (404, "fcm UNREGISTERED")}


def stored_tokens(scene: Scene, handset: Handset) -> list[str]:
    """The tokens of the device in the database."""
    with scene.stack.store.read() as session:
        return [token.token for token in tokens.tokens_of(session, handset.id).get(handset.id, [])]


@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_p2_a_dead_token_is_removed_and_never_pushed_to_again(
    scene: Scene, pbx_trace: PbxTrace, provider: str
) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", provider=provider, wakes=False)
    alice = await scene.caller()
    assert stored_tokens(scene, bob) == [bob.device.token]
    scene.stack.sandbox.uninstall(bob.device.token)

    first = await alice.call(BOB)
    invite = await pbx_trace.wait_for("out", "INVITE")
    refused = await pbx_trace.wait_for("in", "INVITE", 480)
    assert refused.at - invite.at < 1.0  # not after the 20 s of a wait that leads nowhere
    story = await scene.story("push-refused", "gave-up", "failed")
    (verdict,) = (beat.step for beat in story.beats if beat.step.step == "push-refused")
    assert (verdict.code, verdict.reason) == VERDICT[provider]
    await scene.stack.eventually(lambda: not stored_tokens(scene, bob), "the token is gone")
    await first.answered()  # by the voicemail
    await first.hangup()

    second = await alice.call(BOB)
    await second.answered()
    await second.hangup()
    assert len(scene.pushes(bob)) == 1
    assert "push-sent" not in steps_of(await scene.story("gave-up", "failed", number=2))


async def test_p2_a_token_brought_again_after_the_provider_last_saw_it_stays(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone")
    alice = await scene.caller()
    scene.stack.sandbox.order(
        "apns", reason="Unregistered", token=bob.device.token, count=1, unregistered_at=time.time() - 3600
    )

    first = await alice.call(BOB)
    await first.answered()  # by the voicemail: this call has lost its only push
    await first.hangup()
    await scene.story("push-refused", "failed")
    assert stored_tokens(scene, bob) == [bob.device.token]

    second = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(second, incoming)
    await hang_up(second, incoming)
    assert [push.status for push in scene.pushes(bob)] == [410, 200]


async def test_p2_a_dead_token_does_not_end_the_call_of_a_device_that_wakes(scene: Scene) -> None:
    await scene.extension()
    old = await scene.asleep("Bob's old phone", wakes=False)
    new = await scene.asleep("Bob's new phone", wake_after=0.3)
    alice = await scene.caller()
    scene.stack.sandbox.uninstall(old.device.token)

    outgoing = await alice.call(BOB)
    incoming = await new.phone.incoming()
    await answered(outgoing, incoming)
    await hang_up(outgoing, incoming)

    assert [push.status for push in scene.pushes(old)] == [410]
