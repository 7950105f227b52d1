"""The live pages in a real browser: they change by themselves, keep the focus, break no policy, and do without scripts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from control.domain.journal import Step
from control.domain.push import PushToken
from control.domain.wakes import DeviceWake, WaitPolicy
from control.services import people, tokens, wakes
from tests.integration.web.test_live import Web, rings, web

__all__ = ["web"]

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
)


# The lanes' names that are longer than what the picture keeps free for them.
_BEYOND_GUTTER = """
() => [...document.querySelectorAll(".story .lane")]
  .filter((lane) => lane.querySelector(".name").getBBox().x + lane.querySelector(".name").getBBox().width
    > lane.querySelector(".wire").x1.baseVal.value)
  .map((lane) => lane.textContent)
"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        yield browser
        await browser.close()


def complaints(page: Page) -> list[str]:
    """What the browser complains of from now on: violations of the policy, and mistakes in scripts."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


async def test_a_page_follows_a_call_and_keeps_the_focus_where_it_was(web: Web, browser: Browser) -> None:
    now = time.time()
    web.note(rings("a1", now))
    page = await browser.new_page()
    wrong = complaints(page)
    await page.goto(f"{web.url}/calls/a1")
    await expect(page.locator("tr#step-1")).to_be_visible()
    await page.evaluate("window.loadedOnce = true")
    link = page.locator("a[href='/calls']").nth(2)
    await link.focus()
    web.note(Step("a1", now + 1, "push-sent", "alice-1", "apns"))
    await expect(page.locator("tr#step-2")).to_contain_text("Push sent to APNs")
    assert await page.evaluate("document.activeElement.getAttribute('href')") == "/calls"
    assert await page.evaluate("document.querySelector('main').contains(document.activeElement)")
    web.note(Step("a1", now + 2, "cancelled", code=487))
    await expect(page.locator("#news")).to_have_text("The caller gave up before anybody answered.")
    assert await page.evaluate("window.loadedOnce"), "it was not loaded anew"
    assert wrong == []


async def test_the_pages_are_fit_for_screen_readers_and_narrow_screens(web: Web, browser: Browser) -> None:
    now = time.time()
    web.note(rings("a1", now), Step("a1", now + 1, "push-sent", "alice-1", "apns"))
    with web.store.write() as session:
        people.add_user(session, "alice")
        device = people.add_device(session, "alice", "Phone", "nightbell.test")[0].id
        token = PushToken("apns", "org.example.phone.voip", "production", "aa11")
        tokens.store_tokens(session, device, [token], now)
        woke = DeviceWake("w1", device, "a1", now, now + 20, "apns", now, now + 1, "woke")
        wakes.record(session, [woke], WaitPolicy())
    for scheme in ("light", "dark"):
        page = await browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 844})
        for path in ("/calls", "/calls/a1", "/devices", f"/devices/{device}"):
            await page.goto(web.url + path)
            found = await Axe().run(page)
            assert found.violations_count == 0, f"{path}, {scheme}: {found.generate_report()}"
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, f"{path} is {width} px wide: the page itself scrolls sideways"
        await page.close()


async def test_long_names_push_nothing_out_of_its_table(web: Web, browser: Browser) -> None:
    now = time.time()
    user = "maria-fernanda-de-la-concepcion.rodriguez-hinterberger"
    with web.store.write() as session:
        people.add_user(session, user)
        device = people.add_device(session, user, "María Fernanda’s phone, the blue one", "nightbell.test")[
            0
        ].id
    web.note(
        rings("a1", now),
        Step("a1", now + 1, "push-sent", device, "apns"),
        Step(
            "a1",
            now + 2,
            "push-accepted",
            device,
            "apns",
            code=200,
            reason="ceb0e4ee-1342-4ae5-bb93-a7c38b382c0e",
        ),
        Step("a1", now + 3, "register", device),
        Step("a1", now + 3.1, "invite-out", device),
        Step("a1", now + 4, "answered", device, code=200),
        Step("a1", now + 5, "bye"),
    )
    for width in (360, 1280):
        page = await browser.new_page(viewport={"width": width, "height": 844})
        for path in ("/calls", "/calls/a1", "/devices", f"/devices/{device}"):
            await page.goto(web.url + path)
            hidden = await page.eval_on_selector_all(
                ".framed, html", "all => all.map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
            )
            assert max(hidden) <= 0, f"{path} at {width} px: {hidden}"
            beyond = await page.evaluate(_BEYOND_GUTTER)
            assert beyond == [], f"{path}: names reach into the picture"
        await page.close()


async def test_without_scripts_the_page_is_loaded_again_by_itself(web: Web, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{web.url}/calls")
    await expect(page.locator("main")).to_contain_text("No calls yet")
    web.note(rings("a1", time.time()))
    await expect(page.locator("main")).to_contain_text("1001 → alice", timeout=10_000)
