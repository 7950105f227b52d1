"""The page without a mouse."""

from __future__ import annotations

from playwright.async_api import Page


async def press_by_keyboard(page: Page, name: str) -> None:
    """Tab to the button of that name, and press it."""
    for _ in range(60):
        if await focused(page) == name:
            await page.keyboard.press("Enter")
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"no way by Tab to {name!r}")


async def focused(page: Page) -> str:
    """The name of what has the focus."""
    found = await page.evaluate(
        "(({ ariaLabel, labels, textContent }) => (ariaLabel ?? labels?.[0]?.textContent ?? textContent).trim())"
        "(document.activeElement)"
    )
    return str(found)
