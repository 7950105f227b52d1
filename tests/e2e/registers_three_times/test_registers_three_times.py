"""Bob's app registers three times after one push, as some do: it rings once."""

from __future__ import annotations

import pytest

from demo.phone import Recorded
from tests.e2e.scene import BOB, Scene, answered, assert_they_hear_each_other, hang_up, invites


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_w4_three_registers_after_one_push_bring_one_invite(scene: Scene, transport: str) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", transport=transport, registers=3)
    alice = await scene.caller()
    before = len(bob.phone.messages)

    def accepted_registers() -> list[Recorded]:
        return [m for m in bob.phone.messages[before:] if (m.method, m.status) == ("REGISTER", 200)]

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await bob.phone.until(lambda: len(accepted_registers()) == 3, what="three REGISTERs are answered")
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)

    assert invites(bob.phone) == [incoming.call_id]
    assert len(scene.pushes(bob)) == 1


async def test_w5_a_phone_is_not_told_the_end_of_a_call_it_has_answered_itself(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone")
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)

    refreshed = await bob.phone.register()

    assert refreshed.headers.get("Nightbell-Call") is None
    await hang_up(outgoing, incoming)
