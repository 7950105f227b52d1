"""How a page is for those who hear it, for those who see little, and on a narrow screen."""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

NARROW = 360  # CSS pixels
_TOO_WIDE = """
(width) => [...document.querySelectorAll("body *")]
  .filter((element) => element.checkVisibility() && !element.closest(".unseen, .skip, svg"))
  .filter((element) => element.getBoundingClientRect().right > width + 0.5 || element.scrollWidth > element.clientWidth + 1
    && getComputedStyle(element).overflowX === "visible" && getComputedStyle(element).display !== "inline")
  .map((element) => `${element.localName}.${element.className}#${element.id}`)
"""


async def assert_accessible(page: Page) -> None:
    """What axe-core finds, in both colour schemes."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


async def assert_fits(page: Page, width: int = NARROW) -> None:
    """Nothing reaches beyond the screen or out of its box at that width."""
    before = page.viewport_size
    await page.set_viewport_size({"width": width, "height": 640})
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(_TOO_WIDE, width) == []
    if before:
        await page.set_viewport_size(before)
