"""A real Chromium with a microphone that plays a tone, and the phone in its page as a person uses it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright

from demo.pbx.sound import write_tone
from demo.stack import Stack

CHROMIUM = "/usr/bin/chromium"
BROWSER_TONE = 880  # Hz, what its microphone picks up
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
# What people's browsers have not: sound before a click, and media on loopback of a machine that is in no network.
_FOR_TESTS = ("--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection")
# The browser's noise suppression takes a steady tone for noise; the phone asks for it, and the test undoes that alone.
_PLAIN_MICROPHONE = """
const original = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (original) navigator.mediaDevices.getUserMedia = (constraints) =>
  original({ ...constraints, audio: {
    ...constraints.audio, noiseSuppression: false, echoCancellation: false, autoGainControl: false,
  } });
"""
_LISTEN = """
async ([frequency, milliseconds, state]) => {
  const context = new AudioContext();
  const ear = context.createAnalyser();
  ear.fftSize = 8192;
  ear.smoothingTimeConstant = 0.2;
  const bins = new Float32Array(ear.frequencyBinCount);
  const end = performance.now() + milliseconds;
  let source, heard = "nothing";
  while (performance.now() < end) {
    const stream = nightbell.calls.find((call) => call.state === state)?.remoteStream;
    if (stream?.getAudioTracks().length && stream !== source?.mediaStream) {
      source?.disconnect();
      source = context.createMediaStreamSource(stream);
      source.connect(ear);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    ear.getFloatFrequencyData(bins);
    const loudest = bins.indexOf(Math.max(...bins));
    const hertz = loudest * context.sampleRate / ear.fftSize;
    if (bins[loudest] > -70) heard = `${hertz.toFixed(0)} Hz at ${bins[loudest].toFixed(0)} dB`;
    if (bins[loudest] > -70 && Math.abs(hertz - frequency) < 15) { await context.close(); return ""; }
  }
  await context.close();
  return heard;
}
"""

_CODEC = """
async () => {
  const report = await nightbell.calls.find((call) => call.state === "talking").session.connection.getStats();
  const inbound = [...report.values()].find((stats) => stats.type === "inbound-rtp");
  return report.get(inbound.codecId).mimeType;
}
"""

_RESTART_ICE = """
async () => {
  const { session } = nightbell.calls.find((call) => call.state === "talking");
  await new Promise((resolve) => session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, resolve));
  return session.connection.remoteDescription.sdp.match(/a=ice-ufrag:(.*)/)[1];
}
"""


@dataclass
class BrowserPhone:
    """The phone's page in one browser, and what went wrong in it."""

    page: Page
    stack: Stack
    complaints: list[str]
    device: str = ""

    async def open(self, url: str = "") -> None:
        """Open the page."""
        await self.page.goto(url or f"{self.stack.settings.phone_url}/phone/")

    async def set_up(self, device: str) -> None:
        """Open a fresh one-time link of a device, press its button, and wait until the phone is connected."""
        self.device = device
        await self.open(self.stack.link(device))
        await self.page.get_by_role("button", name="Set up this browser").click()
        await self.connected()

    async def connected(self) -> None:
        """Return when the page says so."""
        await self.says("Connected")

    async def says(self, words: str, within: float = 8.0) -> None:
        """Return when the words are to be seen."""
        await self.page.get_by_text(words).first.wait_for(timeout=within * 1000)

    async def press(self, name: str, exact: bool = True) -> None:
        """Press the button of that name."""
        await self.page.get_by_role("button", name=name, exact=exact).first.click()

    async def dial(self, number: str) -> None:
        """Type a number and call it."""
        await self.page.get_by_label("Number or name to call").fill(number)
        await self.press("Call")

    async def codec(self) -> str:
        """The codec of what the page receives."""
        return str(await self.page.evaluate(_CODEC))

    async def restart_ice(self) -> str:
        """Let the call find its way anew (RFC 8445, 9), as after a change of network; the other side's new name in ICE."""
        return str(await self.page.evaluate(_RESTART_ICE))

    async def assert_hears(self, frequency: int, within: float = 6.0, state: str = "talking") -> None:
        """The loudest thing in what the page plays, of the call in that state, is that tone."""
        heard = await self.page.evaluate(_LISTEN, [frequency, within * 1000, state])
        assert heard == "", f"the page hears {heard} instead of {frequency} Hz"


_POLICY = re.compile(r"Content.Security.Policy", re.IGNORECASE)
# Whatever the page's policy has kept from it, said where `chromium` sees it.
_TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  console.error(`Content-Security-Policy: ${violatedDirective} forbids ${blockedURI}`));
"""


@asynccontextmanager
async def chromium(
    folder: Path, tone: int = BROWSER_TONE, *, as_people_have_it: bool = False, **context: Any
) -> AsyncIterator[BrowserContext]:
    """A browser with a profile of its own, which reaches nothing but loopback.

    It trusts the test's certificate, and makes sounds by itself, unless it is as people have it. None of its pages may do
    what the page's own policy forbids.
    """
    violations: list[str] = []
    microphone = folder / f"microphone-{tone}.wav"
    write_tone(microphone, tone)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch_persistent_context(
            folder / f"profile-{tone}",
            executable_path=CHROMIUM,
            headless=True,
            args=[
                *_FLAGS,
                *(() if as_people_have_it else _FOR_TESTS),
                f"--use-file-for-fake-audio-capture={microphone}",
            ],
            ignore_https_errors=not as_people_have_it,
            permissions=["microphone", "notifications"],
            **context,
        )
        browser.on(
            "console", lambda said: violations.append(said.text) if _POLICY.search(said.text) else None
        )
        await browser.add_init_script(_PLAIN_MICROPHONE + _TELL_VIOLATIONS)
        try:
            yield browser
        finally:
            await browser.close()
        assert violations == [], violations


async def phone_in(browser: BrowserContext, stack: Stack) -> BrowserPhone:
    """A new window of the browser, not yet at the phone's page."""
    page = await browser.new_page()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return BrowserPhone(page, stack, complaints)
