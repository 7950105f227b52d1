"""A PBX tells within a call how a transfer goes: in NOTIFYs that follow each other at once, by UDP.

Two of Kamailio's workers take two of them. A phone refuses the one that has been overtaken (RFC 3261, 12.2.2), and Asterisk then
sends no more: the phone never hears that the call it handed over has arrived.
"""

from __future__ import annotations

import pytest

from demo.phone import Answer
from demo.phone.message import sequence_of
from tests.e2e.requests_that_cross.raw_pbx import RawPbx
from tests.e2e.scene import Scene

PAIRS = 200  # one in eight was overtaken


@pytest.mark.parametrize("transport", ["udp", "wss"])
async def test_news_that_has_been_overtaken_does_not_reach_the_phone(
    scene: Scene, pbx: RawPbx, transport: str
) -> None:
    bob = await scene.awake("phone", transport=transport, push=False)
    bob.phone.on_invite = Answer(answer_after=0)
    await pbx.call()
    incoming = await bob.phone.incoming()
    pbx.send("ACK")
    await incoming.answered()

    def seen() -> list[int]:
        news = [m for m in bob.phone.messages if (m.direction, m.method, m.status) == ("in", "NOTIFY", 0)]
        return [sequence_of(m.message) for m in news if m.message.headers.get("Event") == "refer"]

    for first in range(2, 2 + 2 * PAIRS, 2):
        pbx.send("NOTIFY", number=first)
        pbx.send("NOTIFY", number=first + 1)
        await bob.phone.until(lambda last=first + 1: last in seen(), what=f"NOTIFY {first + 1}")  # type: ignore[misc]

    assert seen() == sorted(seen())
    assert len(seen()) > PAIRS, "most are not overtaken"
    pbx.send("BYE", number=3 + 2 * PAIRS)
    assert (await incoming.ended()).cause == "bye"
