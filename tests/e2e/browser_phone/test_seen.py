"""The page by ear, in the dark, and on a narrow screen, in every state that it has."""

from __future__ import annotations

from tests.e2e.browser_phone.browser import BrowserPhone, phone_in
from tests.e2e.browser_phone.seen import assert_accessible, assert_fits
from tests.e2e.scene import BOB, Scene

LONG = "Doña María Fernanda de la Concepción Rodríguez-Hinterberger von und zu Unterwaldhausen"
_NOTE_NEWS = """
() => {
  window.heard = [];
  const news = document.getElementById("news");
  new MutationObserver(() => news.textContent && heard.at(-1) !== news.textContent && heard.push(news.textContent))
    .observe(news, { childList: true });
}
"""


async def assert_well_made(bob: BrowserPhone) -> None:
    """As it is now: by ear, in both schemes, on a narrow screen."""
    await assert_accessible(bob.page)
    await assert_fits(bob.page)


async def test_the_page_is_well_made_in_every_state_of_a_call(scene: Scene, bob: BrowserPhone) -> None:
    await bob.page.get_by_text("Settings").click()
    await assert_well_made(bob)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.page.locator(".call .name").evaluate("(element, name) => (element.textContent = name)", LONG)
    await assert_well_made(bob)
    await bob.press("Answer")
    await outgoing.answered(8)
    await bob.says("Talking")
    await bob.press("Mute")
    await bob.press("Keypad")
    await bob.press("Transfer")
    await assert_well_made(bob)
    await bob.press("Hold")
    await bob.says("On hold")
    await assert_well_made(bob)
    await bob.press("Hang up")
    await bob.says("You hung up")
    await assert_well_made(bob)
    await bob.dial("12!")
    await bob.says("is not a number that can be called")
    await assert_well_made(bob)


async def test_the_page_is_well_made_before_and_beside_the_phone(scene: Scene, bob: BrowserPhone) -> None:
    second = await phone_in(bob.page.context, scene.stack)
    await second.open()
    await second.says("The phone is open in another window")
    await assert_well_made(second)
    await second.open("about:blank")
    await second.open(scene.stack.link((await scene.stack.add_device("Other", "bob")).id))
    await second.says("Set up this browser anew")
    await assert_well_made(second)


async def test_a_screen_reader_is_told_each_step_of_a_call(scene: Scene, bob: BrowserPhone) -> None:
    assert await bob.page.locator("#news").get_attribute("role") == "status"
    await bob.page.evaluate(_NOTE_NEWS)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.press("Answer")
    await bob.says("Talking")
    await outgoing.answered(8)
    await bob.press("Mute")
    await bob.press("Unmute")
    await bob.press("Hold")
    await bob.says("On hold")
    await outgoing.hangup()
    await bob.says("The other side hung up")
    assert await bob.page.evaluate("heard") == [
        "Call from Alice",
        "Alice: Talking",
        "Alice: Talking; they cannot hear you",
        "Alice: Talking",
        "Alice: On hold",
        "Alice: The other side hung up",
    ]
