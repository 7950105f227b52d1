"""Bob's phone is a page in Chromium, and the PBX knows nothing but RTP and G.711."""

from __future__ import annotations

import pytest

from control.services.connection_changes import change
from demo.pbx.server import HOLD_TONE, MILLIWATT_TONE, VOICEMAIL_TONE
from kemi.wire import TABLE_CONNECTION
from tests.e2e.browser_phone.browser import BROWSER_TONE, BrowserPhone
from tests.e2e.browser_phone.keyboard import focused, press_by_keyboard
from tests.e2e.pbx_setup import pbx_numbers, pbx_set
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import ALICE, BOB, CALLER_TONE, Scene


async def test_alice_calls_the_browser_and_they_hear_each_other(scene: Scene, bob: BrowserPhone) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.press("Answer")
    await bob.says("Talking")
    await outgoing.answered(8)
    outgoing.audio.send_tone(CALLER_TONE)
    assert await outgoing.audio.heard(BROWSER_TONE, 6), "Alice does not hear the browser"
    await bob.assert_hears(CALLER_TONE)
    await outgoing.hangup()
    await bob.says("The other side hung up")
    assert bob.complaints == []


async def test_the_browser_calls_alice_holds_mutes_and_hangs_up(scene: Scene, bob: BrowserPhone) -> None:
    alice = await scene.caller()
    await bob.dial(ALICE)
    incoming = await alice.incoming()
    await bob.says("It rings at the other end")
    incoming.answer()
    await bob.says("Talking")
    incoming.audio.send_tone(CALLER_TONE)
    await bob.assert_hears(CALLER_TONE)
    assert await incoming.audio.heard(BROWSER_TONE, 6), "Alice does not hear the browser"

    await bob.press("Mute")
    await bob.says("they cannot hear you")
    assert await incoming.audio.silent(0.5, within=4)
    await bob.press("Unmute")
    assert await incoming.audio.heard(BROWSER_TONE, 4), "Alice does not hear the browser after it was muted"

    await bob.press("Hold")
    await bob.says("On hold")
    assert not await incoming.audio.heard(BROWSER_TONE, 1)
    await bob.press("Resume")
    await bob.says("Talking")
    assert await incoming.audio.heard(BROWSER_TONE, 6), "Alice does not hear the browser after the hold"
    await bob.assert_hears(CALLER_TONE)

    await bob.press("Hang up")
    assert (await incoming.ended()).cause == "bye"
    assert bob.complaints == []


async def test_s4_the_called_browser_holds_and_resumes_and_nothing_is_transcoded(
    scene: Scene, bob: BrowserPhone
) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.press("Answer")
    await outgoing.answered(8)
    outgoing.audio.send_tone(CALLER_TONE)
    await bob.assert_hears(CALLER_TONE)
    assert await outgoing.audio.heard(BROWSER_TONE, 6), "Alice does not hear the browser"
    for _ in range(2):
        await bob.press("Hold")
        await bob.says("On hold")
        assert await outgoing.audio.heard(HOLD_TONE, 6), "Alice does not hear the PBX's music"
        await bob.press("Resume")
        await bob.says("Talking")
        await bob.assert_hears(CALLER_TONE)
        assert await outgoing.audio.heard(BROWSER_TONE, 6), "Alice does not hear the browser after the hold"
    assert await bob.codec() == "audio/PCMU"
    await outgoing.hangup()
    assert bob.complaints == []


async def test_s4_the_browser_looks_for_another_way_for_its_audio(
    scene: Scene, bob: BrowserPhone, pbx_trace: PbxTrace
) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.press("Answer")
    await outgoing.answered(8)
    outgoing.audio.send_tone(CALLER_TONE)
    await bob.assert_hears(CALLER_TONE)
    ways = [await bob.restart_ice() for _ in range(2)]
    assert len(set(ways)) == 2, "the other side has not taken the restart"
    await bob.assert_hears(CALLER_TONE)
    assert await outgoing.audio.heard(BROWSER_TONE, 6), "Alice does not hear the browser after the restart"
    told = [message.text for message in pbx_trace.messages("in", "INVITE")]
    assert len(told) == 2, "the PBX got no re-INVITE"
    assert not [text for text in told if "tls-id" in text or "fingerprint" in text], (
        "DTLS is no matter of the PBX's"
    )
    await outgoing.hangup()
    assert bob.complaints == []


async def test_the_browser_hears_the_milliwatt_of_the_pbx(scene: Scene, bob: BrowserPhone) -> None:
    await bob.dial("601")
    await bob.says("Talking")
    await bob.assert_hears(MILLIWATT_TONE)
    await bob.press("Hang up")
    await bob.says("You hung up")


async def test_the_browser_hears_what_the_pbx_says_before_it_answers_and_rings_no_more_itself(
    scene: Scene, bob: BrowserPhone
) -> None:
    plan = {"694": ("Progress()", f"PlayTones({VOICEMAIL_TONE})", "Wait(4)", "Answer()", "Milliwatt()")}
    with pbx_numbers(scene.stack.pbx, plan):
        await bob.dial("694")
        await bob.assert_hears(VOICEMAIL_TONE, state="ringing")
        assert await bob.page.evaluate("nightbell.calls[0].early")
        await bob.says("Talking")
        await bob.assert_hears(MILLIWATT_TONE)
        await bob.press("Hang up")
        await bob.says("You hung up")
    assert bob.complaints == []


async def test_the_browser_declines_and_the_pbx_goes_on(scene: Scene, bob: BrowserPhone) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await bob.press("Decline")
    await bob.says("You declined")
    await outgoing.answered(8)  # the voicemail's stand-in
    assert scene.stack.pbx.voicemails()[-1][0] == BOB
    await outgoing.hangup()


async def test_a_call_that_the_caller_gives_up_is_missed_and_in_the_history(
    scene: Scene, bob: BrowserPhone
) -> None:
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    await outgoing.cancel()
    await bob.page.get_by_role("button", name="again: incoming, Missed").wait_for(timeout=5000)


@pytest.mark.parametrize(
    ("number", "words"), [("700", "There is no such number"), ("12!", "is not a number that can be called")]
)
async def test_u1_a_call_that_fails_says_why(
    scene: Scene, bob: BrowserPhone, number: str, words: str
) -> None:
    await bob.dial(number)
    await bob.says(words)


async def test_key_tones_arrive_at_the_far_end(scene: Scene, bob: BrowserPhone) -> None:
    before = scene.stack.pbx.keys()
    await bob.dial("603")
    await bob.says("Talking")
    await bob.press("Keypad")
    tones = bob.page.get_by_role("group", name="Key tones")
    for key in ("4 GHI", "star", "0 +", "pound"):
        await tones.get_by_role("button", name=key).click()
    await bob.says("The other side hung up")
    assert [*before, "4*0"] == scene.stack.pbx.keys()
    assert bob.complaints == []


@pytest.mark.parametrize(("mode", "infos"), [("rfc4733", 0), ("info", 3)])
async def test_keys_are_events_where_the_pbx_has_agreed_on_them_and_infos_else(
    scene: Scene, bob: BrowserPhone, pbx_trace: PbxTrace, mode: str, infos: int
) -> None:
    with scene.stack.store.write() as session:
        change(session, scene.connection, {"dtmf": "info"})  # so that an INFO would be seen
    await scene.stack.eventually(
        lambda: '"dtmf":"info"' in (scene.stack.table(TABLE_CONNECTION, scene.connection) or ""), "it is set"
    )
    before = scene.stack.pbx.keys()
    with pbx_set(scene.stack.pbx, BOB, "endpoint", dtmf_mode=mode):
        await bob.dial("603")
        await bob.says("Talking")
        await bob.press("Keypad")
        tones = bob.page.get_by_role("group", name="Key tones")
        for key in ("4 GHI", "star", "pound"):
            await tones.get_by_role("button", name=key).click()
        await bob.says("The other side hung up")
    assert [*before, "4*"] == scene.stack.pbx.keys()
    assert len(pbx_trace.messages("in", "INFO")) == infos


async def test_a_call_by_keyboard_alone(scene: Scene, bob: BrowserPhone) -> None:
    keyboard = bob.page.keyboard
    await keyboard.type("601")
    await keyboard.press("Enter")
    await bob.says("Talking")
    await press_by_keyboard(bob.page, "Keypad")
    await press_by_keyboard(bob.page, "5 JKL")
    await press_by_keyboard(bob.page, "Hang up")
    await bob.says("You hung up")

    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await bob.says("Calls you")
    assert await focused(bob.page) == "Answer"
    await keyboard.press("Enter")
    await bob.says("Talking")
    assert await focused(bob.page) == "Call from Alice"
    await press_by_keyboard(bob.page, "Hold")
    await bob.says("On hold")
    assert await focused(bob.page) == "Resume"
    await outgoing.hangup()
