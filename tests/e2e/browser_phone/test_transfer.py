"""Bob, in his browser, hands a call over to Carol: at once, or after asking her."""

from __future__ import annotations

from tests.e2e.browser_phone.browser import BrowserPhone
from tests.e2e.browser_phone.keyboard import focused, press_by_keyboard
from tests.e2e.scene import ALICE, BOB, CAROL, Scene, assert_they_hear_each_other


async def test_bob_hands_alice_over_to_carol_at_once(scene: Scene, bob: BrowserPhone) -> None:
    alice, carol = await scene.caller(), await scene.caller(CAROL)
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.press("Answer")
    await bob.says("Talking")
    await outgoing.answered(8)

    await bob.press("Transfer")
    await bob.page.get_by_label("Transfer to").fill(CAROL)
    await bob.press("Hand over now")
    at_carol = await carol.incoming()
    at_carol.answer()
    await assert_they_hear_each_other(outgoing, at_carol)
    await bob.page.locator("#calls article").wait_for(state="detached", timeout=8000)
    await outgoing.hangup()
    assert bob.complaints == []


async def test_bob_asks_carol_first_and_then_connects_her_with_alice(scene: Scene, bob: BrowserPhone) -> None:
    alice, carol = await scene.caller(), await scene.caller(CAROL)
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.press("Answer")
    await bob.says("Talking")
    await outgoing.answered(8)

    await bob.press("Transfer")
    await bob.page.get_by_label("Transfer to").fill(CAROL)
    await bob.press("Ask there first")
    at_carol = await carol.incoming()
    await bob.says("On hold")
    at_carol.answer()
    await bob.press("Connect the two")
    await assert_they_hear_each_other(outgoing, at_carol)
    await bob.page.locator("#calls article").first.wait_for(state="detached", timeout=8000)
    await outgoing.hangup()
    assert bob.complaints == []


async def test_u1_a_transfer_to_nowhere_says_so_and_the_call_goes_on(scene: Scene, bob: BrowserPhone) -> None:
    alice = await scene.caller()
    await bob.dial(ALICE)
    incoming = await alice.incoming()
    incoming.answer()
    await bob.says("Talking")
    await bob.press("Transfer")
    await bob.page.get_by_label("Transfer to").fill("700")
    await bob.press("Hand over now")
    await bob.says("The call was not handed over")
    await bob.says("Talking")
    await bob.press("Hang up")


async def test_a_call_is_handed_over_by_keyboard_alone(scene: Scene, bob: BrowserPhone) -> None:
    alice, carol = await scene.caller(), await scene.caller(CAROL)
    keyboard = bob.page.keyboard
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await keyboard.press("Enter")
    await bob.says("Talking")
    await press_by_keyboard(bob.page, "Transfer")
    await keyboard.type(CAROL)  # the focus is there
    await keyboard.press("Enter")
    at_carol = await carol.incoming()
    at_carol.answer()
    await assert_they_hear_each_other(outgoing, at_carol)
    await bob.page.locator("#calls article").wait_for(state="detached", timeout=8000)
    assert await focused(bob.page) == "Number or name to call"
    await outgoing.hangup()


async def test_bob_asks_first_and_connects_the_two_by_keyboard_alone(scene: Scene, bob: BrowserPhone) -> None:
    alice, carol = await scene.caller(), await scene.caller(CAROL)
    keyboard = bob.page.keyboard
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await keyboard.press("Enter")
    await bob.says("Talking")
    await press_by_keyboard(bob.page, "Transfer")
    await keyboard.type(CAROL)
    await press_by_keyboard(bob.page, "Ask there first")
    at_carol = await carol.incoming()
    at_carol.answer()
    await at_carol.answered(8)
    await bob.page.get_by_role("button", name="Connect the two").wait_for(timeout=6000)
    await press_by_keyboard(bob.page, "Connect the two")
    await assert_they_hear_each_other(outgoing, at_carol)
    await bob.page.locator("#calls article").first.wait_for(state="detached", timeout=8000)
    await outgoing.hangup()
