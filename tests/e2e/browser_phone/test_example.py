"""The page that embeds the phone's engine and nothing else of it: what docs/reference/browser-phone.md promises."""

from __future__ import annotations

from playwright.async_api import BrowserContext

from tests.e2e.browser_phone.browser import BROWSER_TONE, BrowserPhone, phone_in
from tests.e2e.browser_phone.seen import assert_accessible
from tests.e2e.scene import ALICE, BOB, CALLER_TONE, Scene


async def example(scene: Scene, browser: BrowserContext) -> BrowserPhone:
    """The example page, which a one-time link has made Bob's."""
    await scene.extension()
    device = await scene.stack.add_device("Bob's own page", "bob")
    phone = await phone_in(browser, scene.stack)
    await phone.open(f"{scene.stack.settings.phone_url}/phone/example")
    await assert_accessible(phone.page)
    await phone.page.get_by_label("One-time link").fill(scene.stack.link(device.id))
    await phone.press("Be this device")
    await phone.connected()
    return phone


async def test_a_page_of_ones_own_is_called(scene: Scene, browser: BrowserContext) -> None:
    bob = await example(scene, browser)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Alice: Calls you")
    await assert_accessible(bob.page)
    await bob.press("Answer")
    await outgoing.answered(8)
    outgoing.audio.send_tone(CALLER_TONE)
    assert await outgoing.audio.heard(BROWSER_TONE, 6), "Alice does not hear the page"
    await bob.press("Hang up")
    await bob.says("You hung up")
    assert bob.complaints == []


async def test_a_page_of_ones_own_calls(scene: Scene, browser: BrowserContext) -> None:
    bob = await example(scene, browser)
    alice = await scene.caller()
    await bob.page.get_by_label("Number").fill(ALICE)
    await bob.press("Call")
    incoming = await alice.incoming()
    await bob.says("It rings at the other end")
    incoming.answer()
    await bob.says("Talking")
    assert await incoming.audio.heard(BROWSER_TONE, 6), "Alice does not hear the page"
    await incoming.hangup()
    await bob.says("The other side hung up")
    assert bob.complaints == []


async def test_u1_the_page_says_why_a_link_does_not_work(scene: Scene, browser: BrowserContext) -> None:
    phone = await phone_in(browser, scene.stack)
    await phone.open(f"{scene.stack.settings.phone_url}/phone/example")
    await phone.page.get_by_label("One-time link").fill("nothing of the kind")
    await phone.press("Be this device")
    await phone.says("This link is not known here.")
