"""The list of the latest calls: missed, answered elsewhere, how long they took; choosing one calls again."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.e2e.browser_phone.browser import BrowserPhone
from tests.e2e.scene import ALICE, BOB, Scene


async def entry(bob: BrowserPhone, told: str) -> None:
    """Return when the newest call of the list is told like this."""
    newest = bob.page.locator("#history li").first
    await expect(newest.get_by_role("button")).to_have_accessible_name(
        re.compile(re.escape(told)), timeout=6000
    )


async def test_the_list_tells_what_became_of_each_call_and_survives_a_reload(
    scene: Scene, bob: BrowserPhone
) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await outgoing.cancel()
    await entry(bob, "Call Alice again: incoming, Missed,")

    desk = await scene.awake("Bob's desk phone")
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    at_desk = await desk.phone.incoming()
    at_desk.answer()
    await outgoing.answered(8)
    await entry(bob, "Call Alice again: incoming, Answered on another device,")
    await outgoing.hangup()
    await at_desk.ended()
    await scene.put_to_sleep(desk)

    await bob.dial(ALICE)
    incoming = await alice.incoming()
    incoming.answer()
    await bob.page.locator("#calls .clock", has_text="0:02").wait_for(timeout=6000)
    await incoming.hangup()
    await entry(bob, "Call 1001 again: outgoing, The other side hung up, 2 s,")

    await bob.page.reload()
    await bob.connected()
    told = await bob.page.locator("#history .how").all_inner_texts()
    assert told == ["The other side hung up · 2 s", "Answered on another device", "Missed"]
    await bob.page.locator("#history li").first.get_by_role("button").click()
    again = await alice.incoming()
    await bob.press("Hang up")
    await again.ended()
    await entry(bob, "outgoing, You gave up,")

    await bob.press("Clear")
    await bob.says("No calls yet.")
    assert bob.complaints == []
