"""The page is loaded again, on purpose or not, while something is going on."""

from __future__ import annotations

from playwright.async_api import Dialog

from tests.e2e.browser_phone.browser import BROWSER_TONE, BrowserPhone
from tests.e2e.scene import ALICE, BOB, Scene


async def ask_to_reload(bob: BrowserPhone) -> Dialog:
    """Bob presses the browser's reload button; what the browser asks him."""
    async with bob.page.expect_event("dialog", timeout=5000) as asked:
        await bob.page.evaluate("setTimeout(() => location.reload())")
    return await asked.value


async def test_a_reload_during_a_call_asks_first_and_the_call_goes_on_if_bob_stays(
    scene: Scene, bob: BrowserPhone
) -> None:
    alice = await scene.caller()
    await bob.dial(ALICE)
    incoming = await alice.incoming()
    incoming.answer()
    await bob.says("Talking")
    question = await ask_to_reload(bob)
    assert question.type == "beforeunload"
    await question.dismiss()
    assert await incoming.audio.heard(BROWSER_TONE, 6), "Alice does not hear the browser any more"
    await bob.press("Hang up")
    await incoming.ended()


async def test_a_reload_during_a_call_ends_it_at_the_other_side_and_the_phone_is_there_again(
    scene: Scene, bob: BrowserPhone
) -> None:
    alice = await scene.caller()
    await bob.dial(ALICE)
    incoming = await alice.incoming()
    incoming.answer()
    await bob.says("Talking")
    await (await ask_to_reload(bob)).accept()
    assert (await incoming.ended()).cause == "bye"
    await bob.connected()
    assert len(scene.stack.bindings(bob.device)) == 1
    outgoing = await alice.call(BOB)
    await bob.press("Answer")
    await outgoing.answered(8)
    await outgoing.hangup()
    assert bob.complaints == []


async def test_a_page_that_is_loaded_again_while_it_rings_rings_again(
    scene: Scene, bob: BrowserPhone
) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await (await ask_to_reload(bob)).accept()
    await bob.connected()
    await bob.says("Calls you")
    await bob.press("Answer")
    await outgoing.answered(8)
    await outgoing.hangup()
