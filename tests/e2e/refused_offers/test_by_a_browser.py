"""What a browser offers within a call is refused: the call goes on as it was, and the page says so."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from demo.phone import Call
from demo.phone.message import build_response
from demo.phone.sdp import parse
from tests.e2e.browser_phone.browser import BROWSER_TONE, BrowserPhone, chromium, phone_in
from tests.e2e.offers import SILENCE, Offered
from tests.e2e.peer_pbx import PeerPbx
from tests.e2e.scene import CALLER_TONE, Scene
from tests.fixtures.phones import Phones

_RESTART = """
() => nightbell.calls[0]._offers.make("renegotiate", { rtcOfferConstraints: { iceRestart: true } })
  .then(() => "", (error) => error.message)
"""


@dataclass
class Talk:
    """A call between the page and the PBX, which does with offers what ``offered`` is told."""

    page: BrowserPhone
    pbx: Call
    offered: Offered
    page_called: bool

    async def both_hear(self) -> None:
        """The one plays its tone, the other hears it."""
        self.pbx.audio.send_tone(CALLER_TONE)
        assert await self.pbx.audio.heard(BROWSER_TONE, 6), "the PBX does not hear the browser"
        await self.page.assert_hears(CALLER_TONE)

    async def stands(self, words: str, button: str) -> None:
        """The call's card says that, its button offers that."""
        card = self.page.page.locator(".call .words")
        await card.get_by_text(words, exact=True).wait_for(timeout=8000)
        assert await self.page.page.locator(".call .hold").text_content() == button

    def offers(self) -> list[str]:
        """The directions that the page has offered."""
        return [parse(transaction.request.body).direction for transaction in self.offered.transactions]

    async def offered_so_often(self, count: int) -> None:
        """Return when the PBX has that many offers."""
        await self.pbx._until(lambda: len(self.offered.transactions) >= count, 8.0, f"{count} offers")

    @asynccontextmanager
    async def tried_again(self) -> AsyncIterator[None]:
        """What is offered within is offered once more, after the time of RFC 3261, 14.1, if refused within."""
        before = len(self.offered.transactions)
        yield
        await self.offered_so_often(before + 1)
        refused = time.monotonic()
        await self.offered_so_often(before + 2)
        shortest, longest = (2.1, 4.0) if self.page_called else (0.0, 2.0)
        assert shortest - 0.2 < time.monotonic() - refused < longest + 1.0


@pytest_asyncio.fixture(params=["browser calls", "pbx calls"])
async def talk(
    scene: Scene,
    phones: Phones,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Talk]:
    pbx = await PeerPbx.start(scene, phones)
    device = await scene.stack.add_device("Bob's browser", "bob")
    async with chromium(tmp_path) as browser:
        page = await phone_in(browser, scene.stack)
        await page.set_up(device.id)
        if request.param == "browser calls":
            await page.dial("600")
            theirs: Call = await pbx.phone.incoming()
            await theirs.answered()
        else:
            theirs = await pbx.phone.call(pbx.uri)
            await page.says("Calls you")
            await page.press("Answer")
            await theirs.answered()
        await page.says("Talking")
        talk = Talk(page, theirs, Offered(theirs, monkeypatch), request.param == "browser calls")
        await talk.both_hear()
        yield talk
        assert theirs.end is None, "the call is over"
        await page.press("Hang up")
        assert (await theirs.ended()).cause == "bye"
        await page.says("You hung up")
        assert page.complaints == []


async def test_s4_a_hold_is_refused_and_the_call_goes_on(talk: Talk) -> None:
    talk.offered.status = 488
    await talk.page.press("Hold")
    await talk.page.says("Holding did not work: the PBX answers 488.")
    await talk.stands("Talking", "Hold")
    await talk.both_hear()

    talk.offered.status = None
    await talk.page.press("Hold")
    await talk.stands("On hold", "Resume")
    assert await talk.pbx.audio.silent(0.5, within=4)

    talk.offered.status = 500
    await talk.page.press("Resume")
    await talk.page.says("Resuming did not work: the PBX answers 500.")
    await talk.stands("On hold", "Resume")
    assert not await talk.pbx.audio.heard(BROWSER_TONE, 1), "who is on hold hears the browser"

    talk.offered.status = None
    await talk.page.press("Resume")
    await talk.stands("Talking", "Hold")
    await talk.both_hear()
    assert talk.offers() == ["sendonly", "sendonly", "sendrecv", "sendrecv"]


async def test_s4_a_hold_that_meets_another_offer_is_tried_again_later(talk: Talk) -> None:
    talk.offered.once = 491
    async with talk.tried_again():
        await talk.page.press("Hold")
    await talk.stands("On hold", "Resume")
    assert await talk.pbx.audio.silent(0.5, within=4)

    talk.offered.once = 491
    async with talk.tried_again():
        await talk.page.press("Resume")
    await talk.stands("Talking", "Hold")
    await talk.both_hear()
    assert talk.offers() == ["sendonly", "sendonly", "sendrecv", "sendrecv"]

    talk.offered.status = 491
    await talk.page.press("Hold")
    await talk.page.says("Holding did not work: the PBX answers 491.")
    await talk.stands("Talking", "Hold")
    await talk.both_hear()


async def test_s4_page_and_pbx_hold_at_the_same_moment(talk: Talk) -> None:
    talk.offered.once = SILENCE
    async with talk.tried_again():
        await talk.page.press("Hold")
        await talk.offered_so_often(1)
        assert (await talk.pbx.hold()).status == 491
        reinvite = talk.offered.transactions[0]
        reinvite.respond(build_response(reinvite.request, 491))
    await talk.stands("On hold", "Resume")
    assert await talk.pbx.audio.silent(0.5, within=4)
    assert (await talk.pbx.hold()).status == 200
    await talk.stands("On hold at both ends", "Resume")
    assert (await talk.pbx.resume()).status == 200
    await talk.page.press("Resume")
    await talk.stands("Talking", "Hold")
    await talk.both_hear()


async def test_s4_another_way_for_the_audio_is_refused(talk: Talk) -> None:
    talk.offered.status = 488
    assert await talk.page.page.evaluate(_RESTART) == (
        "Looking for another way for the audio did not work: the PBX answers 488."
    )
    await talk.stands("Talking", "Hold")
    talk.offered.status = None
    assert await talk.page.page.evaluate(_RESTART) == ""
    await talk.both_hear()
