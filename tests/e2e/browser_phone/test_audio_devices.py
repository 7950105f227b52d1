"""Which microphone, which loudspeaker, and by what it rings: Chromium has two of each here, made of nothing."""

from __future__ import annotations

from playwright.async_api import Locator

from tests.e2e.browser_phone.browser import BROWSER_TONE, BrowserPhone
from tests.e2e.scene import ALICE, BOB, Scene

_IN_USE = """
() => ({
  microphone: nightbell.calls[0]._sender.track.getSettings().deviceId,
  speaker: nightbell.calls[0]._audio.sinkId,
})
"""
# A headset that was pulled out: its id is known to nobody any more. (The fake devices cannot be.)
_PULL_OUT = """
async () => {
  const store = await import("./static/store.js");
  for (const name of ["microphone", "speaker", "ringer"]) {
    await store.set(name, { id: "0".repeat(64), label: "Blue headset" });
  }
}
"""
_LISTEN_TO_CONTEXTS = """
const contexts = window.contexts = [];
window.AudioContext = class extends AudioContext { constructor(...all) { super(...all); contexts.push(this); } };
"""


async def choices(bob: BrowserPhone, label: str) -> tuple[Locator, list[str]]:
    """A list in the settings, and the ids of the devices in it, without the system's choice."""
    field = bob.page.get_by_label(label)
    options = await field.locator("option").evaluate_all("all => all.map((option) => option.value)")
    return field, [option for option in options if option]


async def test_devices_that_were_chosen_are_used_at_once_and_remembered(
    scene: Scene, bob: BrowserPhone
) -> None:
    await bob.page.get_by_text("Settings").click()
    alice = await scene.caller()
    await bob.dial(ALICE)
    incoming = await alice.incoming()
    incoming.answer()
    await bob.says("Talking")

    microphone, inputs = await choices(bob, "Microphone")
    speaker, outputs = await choices(bob, "Loudspeaker or headset")
    ringer, _ = await choices(bob, "Ring by")
    assert (len(inputs), len(outputs)) == (2, 2)
    await microphone.select_option(inputs[1])
    await speaker.select_option(outputs[1])
    await ringer.select_option(outputs[0])
    await bob.page.wait_for_function(
        "(id) => nightbell.calls[0]._sender.track.getSettings().deviceId === id", arg=inputs[1]
    )
    assert await bob.page.evaluate(_IN_USE) == {"microphone": inputs[1], "speaker": outputs[1]}
    assert await incoming.audio.heard(BROWSER_TONE, 6), "Alice does not hear the other microphone"
    await bob.press("Hang up")
    await incoming.ended()

    await bob.page.add_init_script(_LISTEN_TO_CONTEXTS)
    await bob.page.reload()
    await bob.connected()
    await bob.page.get_by_text("Settings").click()
    for field, device in ((microphone, inputs[1]), (speaker, outputs[1]), (ringer, outputs[0])):
        assert await field.input_value() == device
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.page.wait_for_function("(device) => contexts.at(-1)?.sinkId === device", arg=outputs[0])
    await bob.press("Answer")
    await outgoing.answered(8)
    assert await bob.page.evaluate(_IN_USE) == {"microphone": inputs[1], "speaker": outputs[1]}
    assert await outgoing.audio.heard(BROWSER_TONE, 6), "Alice does not hear the chosen microphone"
    await outgoing.hangup()
    assert bob.complaints == []


async def test_u1_devices_that_are_gone_are_named_and_the_systems_choice_is_used(
    scene: Scene, bob: BrowserPhone
) -> None:
    await bob.page.evaluate(_PULL_OUT)
    await bob.page.reload()
    await bob.connected()
    for what in ("microphone", "loudspeaker", "bell"):
        await bob.says(f"The {what} “Blue headset” is not plugged in.")
    await bob.says("The system’s choice is used until it is back.")

    alice = await scene.caller()
    await bob.dial(ALICE)
    incoming = await alice.incoming()
    incoming.answer()
    await bob.says("Talking")
    assert await incoming.audio.heard(BROWSER_TONE, 6), "Alice does not hear the system's choice"
    await bob.press("Hang up")
    await incoming.ended()

    await bob.page.get_by_text("Settings").click()
    for label in ("Microphone", "Loudspeaker or headset", "Ring by"):
        await bob.page.get_by_label(label).select_option("")
    await bob.page.get_by_text("is not plugged in").wait_for(state="hidden")
    assert bob.complaints == []


async def test_a_microphone_that_is_pulled_out_in_a_call_is_replaced(scene: Scene, bob: BrowserPhone) -> None:
    alice = await scene.caller()
    await bob.dial(ALICE)
    incoming = await alice.incoming()
    incoming.answer()
    await bob.says("Talking")
    # As browsers do it: the track ends, and says so.
    await bob.page.evaluate(
        "() => { const { track } = nightbell.calls[0]._sender; track.stop(); track.dispatchEvent(new Event('ended')); }"
    )
    assert await incoming.audio.heard(BROWSER_TONE, 6), "Alice does not hear the microphone that is left"
    await bob.page.wait_for_function("nightbell.calls[0]._sender.track.readyState === 'live'")
    await bob.press("Hang up")
