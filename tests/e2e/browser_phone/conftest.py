"""Bob's browser, which a one-time link has made his phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import BrowserContext

from tests.e2e.browser_phone.browser import BrowserPhone, chromium, phone_in
from tests.e2e.scene import Scene


@pytest_asyncio.fixture
async def browser(tmp_path: Path) -> AsyncIterator[BrowserContext]:
    """Chromium with a fresh profile."""
    async with chromium(tmp_path) as browser:
        yield browser


@pytest_asyncio.fixture
async def bob(scene: Scene, browser: BrowserContext) -> BrowserPhone:
    """The phone in Bob's browser, connected; his extension is held by Nightbell. Nothing may go wrong in the page."""
    await scene.extension()
    device = await scene.stack.add_device("Bob's browser", "bob")
    phone = await phone_in(browser, scene.stack)
    await phone.set_up(device.id)
    return phone
