"""Bob's app is suspended during a call, and remembers it; then the PBX has something to say within the call (RFC 8599, 6).

The request is held, the phone is pushed to, registers, and gets it by its new flow. What cannot be told to it is refused in time,
and a call that the other side ends is over whatever becomes of the phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from control.domain.story import Story
from demo.phone import Call, Phone
from demo.stack import Stack
from tests.e2e.link import TcpLink
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.scene import ALICE, BOB, Handset, Scene, answered, assert_they_hear_each_other, steps_of


@dataclass
class Talk:
    """Bob's phone and Alice's desk phone in a call."""

    scene: Scene
    bob: Handset
    alice: Phone
    bobs_call: Call
    alices_call: Call


async def in_a_call(
    scene: Scene, *, provider: str = "fcm", transport: str = "tcp", outbound: bool = False, **options: Any
) -> Talk:
    await scene.extension()
    bob = await scene.awake("Bob's phone", provider=provider, transport=transport, **options)
    bob.phone.remembers_calls = True
    await bob.phone.register()
    alice = await scene.caller()
    if outbound:
        outgoing = await bob.phone.call(ALICE)
        incoming = await alice.incoming()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
        return Talk(scene, bob, alice, outgoing, incoming)
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    return Talk(scene, bob, alice, incoming, outgoing)


async def suspended(talk: Talk) -> None:
    """The app's sockets are closed, and Nightbell has noticed."""
    await talk.bob.phone.suspend()
    await talk.scene.stack.eventually(
        lambda: not talk.scene.stack.bindings(talk.bob.id), "the binding of the closed flow is removed"
    )


def refusal(story: Story) -> tuple[int, str]:
    """What the other side was told of a request that did not reach the phone."""
    failed = next(beat.step for beat in story.beats if beat.step.step == "request-failed")
    return failed.code, failed.reason


@pytest.fixture(params=["inbound", "outbound"])
def outbound(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "outbound")


@pytest.mark.parametrize("transport", ["tcp", "wss"])
async def test_a_bye_wakes_the_suspended_phone_and_reaches_it_by_its_new_flow(
    scene: Scene, outbound: bool, transport: str
) -> None:
    talk = await in_a_call(scene, transport=transport, outbound=outbound)
    await scene.listen(talk.bob, wake_after=0.5)
    await suspended(talk)

    await talk.alices_call.hangup()

    assert (await talk.bobs_call.ended()).cause == "bye"
    story = await scene.story(
        "bye", "request-held", "push-accepted", "register", "request-out", "request-answered"
    )
    told = [step for step in steps_of(story) if step.startswith(("request", "push", "register"))]
    assert told == [
        "request-held",
        "push-sent",
        "push-accepted",
        "register",
        "request-out",
        "request-answered",
    ]
    (push,) = scene.pushes(talk.bob)
    assert (push.payload["nightbell_type"], push.priority) == ("request", "high")
    assert story.head.ended_at


@pytest.fixture
def passing_on(stack: Stack) -> Iterator[None]:
    """A PBX that sends a re-INVITE when Alice holds."""
    with pbx_set(stack.pbx, BOB, "endpoint", moh_passthrough="yes"):
        yield


@pytest.mark.usefixtures("passing_on")
async def test_a_reinvite_wakes_it_and_both_hear_each_other_again(scene: Scene, outbound: bool) -> None:
    talk = await in_a_call(scene, outbound=outbound)
    await scene.listen(talk.bob, wake_after=0.5)
    await suspended(talk)

    assert (await talk.alices_call.hold()).status == 200
    await talk.bob.phone.until(lambda: talk.bobs_call.held_by_peer, what="held by the PBX")
    assert (await talk.alices_call.resume()).status == 200
    await talk.bob.phone.until(lambda: not talk.bobs_call.held_by_peer, what="off hold again")
    await assert_they_hear_each_other(talk.alices_call, talk.bobs_call)

    assert len(scene.pushes(talk.bob)) == 1, "the second one found it awake"
    assert (await talk.alices_call.hangup()).status == 200
    assert (await talk.bobs_call.ended()).cause == "bye"


async def test_w7_a_flow_that_died_without_a_word_is_noticed_by_its_silence(scene: Scene) -> None:
    async with TcpLink(scene.stack.sip_address("tcp"), scene.stack.address) as link:
        talk = await in_a_call(scene, server=link.address)
        await scene.listen(talk.bob)
        await link.cut()
        await talk.bob.phone.suspend()
        assert scene.stack.bindings(talk.bob.id), "Nightbell has not noticed"

        await talk.alices_call.hangup()

        assert (await talk.bobs_call.ended()).cause == "bye"
        story = await scene.story("request-answered")
        assert steps_of(story).index("bye") < steps_of(story).index("request-held")
        assert len(scene.pushes(talk.bob)) == 1


@pytest.mark.parametrize("transport", ["tcp", "wss"])
async def test_w7_a_flow_closed_at_the_moment_of_the_request_does_not_fail_it(
    scene: Scene, transport: str
) -> None:
    talk = await in_a_call(scene, transport=transport)
    await scene.listen(talk.bob)

    await talk.bob.phone.suspend()
    await talk.alices_call.hangup()

    assert (await talk.bobs_call.ended()).cause == "bye"
    await scene.story("request-answered")
    assert len(scene.pushes(talk.bob)) == 1


async def test_a_phone_that_has_come_back_by_another_flow_is_not_pushed_to(scene: Scene) -> None:
    talk = await in_a_call(scene)
    await talk.bob.phone.suspend()
    await talk.bob.phone.wake()

    assert (await talk.alices_call.hangup()).status == 200

    assert (await talk.bobs_call.ended()).cause == "bye"
    story = await scene.story("bye")
    assert "request-held" not in steps_of(story)
    assert not scene.pushes(talk.bob)


async def test_a_call_is_over_when_the_other_side_hangs_up_though_the_phone_cannot_be_woken(
    scene: Scene,
) -> None:
    talk = await in_a_call(scene)
    await suspended(talk)

    await talk.alices_call.hangup()

    story = await scene.story("bye", within=3.0)
    assert story.head.ended_at
    story = await scene.story("request-failed", within=14.0)
    assert refusal(story) == (480, "BYE: The device did not wake in time")
    told = steps_of(story)
    assert (told.count("bye"), told.count("request-held")) == (1, 1), "the PBX repeats its BYE meanwhile"


async def test_w5_an_iphone_with_a_token_for_calls_alone_is_never_pushed_to_for_it(scene: Scene) -> None:
    talk = await in_a_call(scene, provider="apns")
    await scene.listen(talk.bob)
    await suspended(talk)

    await talk.alices_call.hangup()

    story = await scene.story("request-failed")
    assert refusal(story) == (480, "BYE: Its push token is for calls alone")
    assert not scene.pushes(talk.bob)
