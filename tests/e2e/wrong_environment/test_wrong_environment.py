"""Bob's app is a development build, and says that it is none: its token is Apple's other environment's.

The first push is refused there and sent to the other environment within the same call; later ones go there at once. A token that
neither environment knows is put into quarantine: nobody waits for it again, and it is kept.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from control.domain.push import PRODUCTION, SANDBOX, PushToken
from control.services import tokens
from demo.phone import PushReceiver
from demo.sandbox import ProviderSandbox
from demo.stack import TOPICS
from tests.e2e.changed_settings import settings
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, Handset, Scene, answered, hang_up, steps_of


@pytest.fixture
async def development(scene: Scene, tmp_path: Path) -> AsyncIterator[ProviderSandbox]:
    """Apple's environment for development builds: the same keys and certificates, other tokens."""
    keys = tmp_path / "sandbox"
    shutil.copytree(scene.stack.home / "sandbox", keys)
    other = ProviderSandbox(scene.stack.address)
    await other.start(keys)
    host, port = other.apns_address
    async with settings(scene.stack, "push.apns", sandbox_server=host, sandbox_port=port):
        yield other
    await other.stop()


async def asleep_with(scene: Scene, token: str) -> Handset:
    """A phone of Bob's that has brought this token as one of a production build."""
    bob = await scene.awake("Bob's phone", push=False)
    device = replace(bob.device, token=token)
    bob.phone.push = device.push
    await bob.phone.wake()
    await scene.stack.wait_wakeable(device)
    bob = Handset(device, bob.phone)
    await scene.put_to_sleep(bob)
    return bob


def stored(scene: Scene, handset: Handset) -> PushToken:
    """The token as the database has it."""
    with scene.stack.store.read() as session:
        (token,) = tokens.tokens_of(session, handset.id)[handset.id]
    return token


async def test_p2_a_token_of_the_other_environment_rings_at_once_and_is_tried_in_vain_only_once(
    scene: Scene, development: ProviderSandbox
) -> None:
    await scene.extension()
    bob = await asleep_with(scene, development.install("apns", TOPICS["apns"]))
    assert stored(scene, bob).environment == PRODUCTION
    alice = await scene.caller()
    async with PushReceiver(development.control_url, bob.device.token, bob.phone):
        for _ in range(2):
            outgoing = await alice.call(BOB)
            incoming = await bob.phone.incoming()
            await answered(outgoing, incoming)
            await hang_up(outgoing, incoming)
            await scene.put_to_sleep(bob)
    assert [push.status for push in scene.pushes(bob)] == [400]
    assert [push.status for push in development.pushes] == [200, 200]
    learnt = stored(scene, bob)
    assert (learnt.environment, learnt.corrected, learnt.quarantined_at) == (SANDBOX, True, None)


async def test_p2_a_token_that_neither_environment_knows_is_asked_about_once_and_kept(
    scene: Scene, development: ProviderSandbox, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await asleep_with(scene, "c0ffee" * 10)
    alice = await scene.caller()
    for _ in range(2):
        outgoing = await alice.call(BOB)
        await outgoing.answered()  # by the voicemail
        await outgoing.hangup()
        await scene.stack.eventually(lambda: stored(scene, bob).quarantined_at, "the token is in quarantine")
    invites, refused = pbx_trace.messages("out", "INVITE"), pbx_trace.messages("in", "INVITE", 480)
    assert len(refused) == 2
    assert all(no.at - invite.at < 1.0 for invite, no in zip(invites, refused, strict=True))
    assert [push.reason for push in scene.pushes(bob)] == ["BadDeviceToken"]
    assert [push.reason for push in development.pushes] == ["BadDeviceToken"]
    assert "push-sent" not in steps_of(await scene.story("failed", number=2))

    # Bob opens the app; it still brings that token. The phone rings, as it is awake.
    await bob.phone.wake()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await hang_up(outgoing, incoming)
    assert stored(scene, bob).quarantined_at is not None
