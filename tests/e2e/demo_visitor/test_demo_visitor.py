"""Whoever has run the demo opens the link at its end, in an ordinary browser, and has a phone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.stack import Stack
from tests.e2e.browser_phone.browser import BROWSER_TONE, chromium, phone_in

_NIGHTBELL = Path(sys.executable).with_name("nightbell")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The demo's folder; what runs there is stopped afterwards."""
    folder = tmp_path / "demo"
    yield folder
    demo(folder, "--down")


def demo(home: Path, *options: str) -> str:
    """What the demo prints."""
    command = [str(_NIGHTBELL), "demo", "--home", str(home), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def link_in(text: str) -> str:
    """The one-time link that the demo has printed."""
    found = re.search(r"http://127\.0\.0\.1:\d+/phone/#\S+", text)
    assert found, text
    return found[0]


async def test_the_demo_ends_with_a_link_to_a_phone_that_calls_alice_and_is_called_by_her(
    home: Path, tmp_path: Path
) -> None:
    link = link_in(demo(home))
    stack = Stack(home)
    async with chromium(tmp_path, as_people_have_it=True) as browser:
        phone = await phone_in(browser, stack)
        await phone.open(link)
        await phone.press("Set up this browser")
        await phone.connected()
        await phone.dial("1001")
        await phone.says("Talking")
        await phone.assert_hears(BROWSER_TONE)
        await phone.press("Hang up")

        await phone.dial("602")
        await phone.says("Alice")
        await phone.press("Answer")
        await phone.assert_hears(BROWSER_TONE)
        await phone.press("Hang up")

        again = link_in(demo(home))
        assert again != link
        await phone.connected()
        await phone.dial("600")
        await phone.says("Talking")
        assert phone.complaints == []
