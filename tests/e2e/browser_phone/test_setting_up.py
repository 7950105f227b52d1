"""A browser becomes a phone by a one-time link, stays it, and ceases to be it."""

from __future__ import annotations

from playwright.async_api import BrowserContext

from control.services import people
from tests.e2e.browser_phone.browser import BrowserPhone, phone_in
from tests.e2e.scene import Scene


async def test_u3_a_link_is_not_used_up_by_looking_at_it_and_makes_the_browser_a_phone(
    scene: Scene, browser: BrowserContext
) -> None:
    device = await scene.stack.add_device("Bob's browser", "bob")
    url = scene.stack.link(device.id)
    phone = await phone_in(browser, scene.stack)
    for _ in range(2):
        await phone.open("about:blank")
        await phone.open(url)
        await phone.says("Make this browser your phone")
    await phone.press("Set up this browser")
    await phone.connected()

    assert "#" not in phone.page.url
    assert len(scene.stack.bindings(device.id)) == 1
    assert phone.complaints == []


async def test_u3_a_link_that_was_used_says_so_and_a_phone_that_was_there_goes_on(
    scene: Scene, browser: BrowserContext
) -> None:
    device = await scene.stack.add_device("Bob's browser", "bob")
    url = scene.stack.link(device.id)
    phone = await phone_in(browser, scene.stack)
    await phone.open(url)
    await phone.press("Set up this browser")
    await phone.connected()

    await phone.open("about:blank")
    await phone.open(url)
    await phone.says("Set up this browser anew")
    await phone.press("Set up this browser")
    await phone.says("This link was used already. Ask for a new one")
    await phone.press("Go on with the phone that was here")
    await phone.connected()


async def test_a_phone_is_connected_again_after_a_reload_and_keeps_one_binding(
    scene: Scene, bob: BrowserPhone
) -> None:
    await bob.page.reload()
    await bob.connected()
    assert len(scene.stack.bindings(bob.device)) == 1
    assert bob.complaints == []


async def test_the_browser_finds_nothing_that_keeps_it_from_being_installed_as_an_app(
    bob: BrowserPhone, browser: BrowserContext
) -> None:
    await bob.page.reload()  # now by its service worker
    await bob.connected()
    devtools = await browser.new_cdp_session(bob.page)
    manifest = await devtools.send("Page.getAppManifest")
    assert manifest["url"], "the page names no manifest"
    assert manifest["errors"] == []
    found = await devtools.send("Page.getInstallabilityErrors")
    assert found["installabilityErrors"] == []


async def test_only_one_window_is_the_phone_and_another_can_take_it_over(
    scene: Scene, bob: BrowserPhone, browser: BrowserContext
) -> None:
    second = await phone_in(browser, scene.stack)
    await second.open()
    await second.says("The phone is open in another window")
    await second.press("Use it in this window")
    await second.connected()
    await bob.says("The phone is open in another window")


async def test_u1_a_browser_that_was_set_up_anew_elsewhere_says_what_to_do(
    scene: Scene, bob: BrowserPhone
) -> None:
    with scene.stack.store.write() as session:
        people.new_device_password(session, bob.device, scene.stack.domain)
    await bob.page.reload()
    await bob.says("Ask for a new link")
    assert await bob.page.get_by_role("button", name="Call", exact=True).is_disabled()


async def test_u1_a_connection_that_is_lost_is_said_and_comes_back(scene: Scene, bob: BrowserPhone) -> None:
    scene.stack.kamailio.stop()
    await bob.says("Nightbell cannot be reached. Trying again…")
    scene.stack.kamailio.start()
    await bob.says("Connected", within=20)


async def test_signing_out_forgets_everything(scene: Scene, bob: BrowserPhone) -> None:
    await bob.page.get_by_text("Settings").click()
    await bob.press("Sign out")
    await bob.says("Signed out")
    await scene.stack.eventually(lambda: not scene.stack.bindings(bob.device), "the phone is unregistered")
    await bob.page.reload()
    await bob.says("This browser is not a phone yet")
