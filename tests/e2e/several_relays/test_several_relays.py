"""Two rtpengines: calls are spread over both, one is taken out of service without cutting a call, one dies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from _pytest.tmpdir import TempPathFactory
from click.testing import CliRunner, Result

from control.cli.main import main
from control.host import relays, rtpengine
from control.services import alarms
from demo.phone import OutgoingCall
from demo.stack import Stack
from tests.e2e.relay import calls_of, nothing_relayed
from tests.e2e.scene import Handset, Scene

ECHO = "600"
EAST, WEST = "east", "west"


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: TempPathFactory) -> Iterator[Stack]:
    """A stack of this module's own, with two media relays."""
    stack = Stack(tmp_path_factory.mktemp("relays"), relays=(EAST, WEST))
    try:
        for _ in stack.start():
            pass
        yield stack
    finally:
        for _ in stack.stop():
            pass


@pytest.fixture
async def bob(scene: Scene) -> Handset:
    await scene.extension()
    return await scene.awake("phone")


def nightbell(stack: Stack, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--home", str(stack.home)])


def calls(stack: Stack) -> dict[str, list[str]]:
    """The SIP Call-IDs that each relay has."""
    return {relay.name: calls_of(relay) for relay in stack.settings.rtpengine}


async def talk(handset: Handset) -> OutgoingCall:
    """A call to the echo, with audio."""
    call = await handset.phone.call(ECHO)
    await call.answered()
    await assert_echo(call)
    return call


async def assert_echo(call: OutgoingCall) -> None:
    call.audio.send_tone(440)
    assert await call.audio.heard(440, within=5.0), "the echo does not come back"


async def hang_up(made: list[OutgoingCall]) -> None:
    for call in made:
        await call.hangup()


async def until_on(
    stack: Stack, name: str, bob: Handset, pause: float = 0.0
) -> tuple[OutgoingCall, list[OutgoingCall]]:
    """Call until a call is on that relay, with a pause in between (s); returns it, and the others."""
    others: list[OutgoingCall] = []
    for _ in range(20):
        call = await talk(bob)
        if call.call_id in calls(stack)[name]:
            return call, others
        others.append(call)
        await asyncio.sleep(pause)
    raise AssertionError(f"of {len(others)} calls none came to {name}")


async def test_calls_are_spread_and_a_drained_relay_gets_no_new_ones_and_keeps_those_it_has(
    scene: Scene, bob: Handset
) -> None:
    stack = scene.stack
    old, others = await until_on(stack, EAST, bob)

    assert nightbell(stack, "media", "drain", EAST).output == f"{EAST} gets no new calls\n"
    try:
        before = calls(stack)[EAST]
        others += [await talk(bob) for _ in range(5)]
        assert calls(stack)[EAST] == before
        states = {relay.name: relay.state for relay in relays.overview(stack.settings)}
        assert states == {EAST: "draining", WEST: "ready"}

        # The call that is on it goes on, and can be held and resumed there.
        await old.hold()
        await old.resume()
        await assert_echo(old)
        assert calls(stack)[EAST] == before

        # A restart of Kamailio changes nothing about it.
        await hang_up([old, *others])
        await nothing_relayed(stack)
        stack.kamailio.restart()
        await bob.phone.wake()
        later = [await talk(bob) for _ in range(4)]
        assert calls(stack)[EAST] == []
        await hang_up(later)
    finally:
        resumed = nightbell(stack, "media", "resume", EAST)
    assert resumed.output == f"{EAST} gets calls again\n"
    again, others = await until_on(stack, EAST, bob)
    await hang_up([again, *others])
    await nothing_relayed(stack)


async def test_new_calls_go_through_the_other_relay_when_one_dies(scene: Scene, bob: Handset) -> None:
    stack = scene.stack
    stack.rtpengine.kill()

    async def alarmed(standing: bool) -> None:
        def is_so() -> bool:
            with stack.store.read() as session:
                found = [(a.kind, a.subject) for a in alarms.latest(session)]
            return ((alarms.MEDIA_RELAY_DOWN, EAST) in found) == standing

        await stack.eventually(is_so, f"an alarm for {EAST}: {standing}", within=8.0)

    # Whichever relay a call would have been for: each of these has audio.
    made = [await asyncio.wait_for(talk(bob), 10.0) for _ in range(6)]
    west = next(relay for relay in stack.settings.rtpengine if relay.name == WEST)
    assert len(calls_of(west)) == 6
    await alarmed(True)
    listed = nightbell(stack, "media", "list")
    assert (listed.exit_code, "down" in listed.output) == (1, True)
    assert rtpengine.version(west) in listed.output

    stack.rtpengine.start()
    await alarmed(False)
    await hang_up(made)
    await nothing_relayed(stack)
    # Kamailio leaves a relay that was silent alone for five seconds.
    again, others = await until_on(stack, EAST, bob, pause=0.3)
    await hang_up([again, *others])
