"""Bob's page is closed. A call wakes his browser by Web Push, over the sandbox's push service.

Chromium's own push service is Google's and out of reach: the page is given a subscription at the sandbox instead, and what the
sandbox has decrypted is handed to the service worker by DevTools.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from playwright.async_api import BrowserContext, CDPSession

from control.push.webpush.vapid import public_key
from demo.sandbox import Push
from tests.e2e.browser_phone.browser import BROWSER_TONE, BrowserPhone, phone_in
from tests.e2e.scene import BOB, CALLER_TONE, Scene

_SUBSCRIBE = """
(token) => {
  const subscription = { toJSON: () => JSON.parse(token), unsubscribe: async () => true, options: {} };
  let subscribed = null;
  PushManager.prototype.subscribe = async () => (subscribed = subscription);
  PushManager.prototype.getSubscription = async () => subscribed;
}
"""
_SHOWN = "async () => (await registration.getNotifications()).map((shown) => shown.title)"


class Sleeper:
    """Bob's browser with the page closed: what wakes it, and what it shows."""

    def __init__(self, scene: Scene, browser: BrowserContext, token: str) -> None:
        self.scene, self.browser, self.token = scene, browser, token
        self._devtools: CDPSession | None = None
        self._registration = ""

    async def pushed(self, count: int = 1) -> Push:
        """The ``count``-th push, once the push service has it; the browser gets it now."""
        sandbox = self.scene.stack.sandbox
        found = await self.scene.stack.eventually(
            lambda: pushes if len(pushes := sandbox.pushes(self.token)) >= count else None, f"push {count}"
        )
        push: Push = found[count - 1]
        await self._deliver(json.dumps(push.payload))
        return push

    async def shows(self, *titles: str) -> None:
        """Return when the browser shows these notifications and no other."""
        (worker,) = self.browser.service_workers
        shown: Any = None
        for _ in range(100):
            shown = await worker.evaluate(_SHOWN)
            if shown == list(titles):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"the browser shows {shown} instead of {titles}")

    async def _deliver(self, data: str) -> None:
        url = self.scene.stack.settings.phone_url
        if self._devtools is None:
            page = await self.browser.new_page()
            await page.goto(f"{url}/calls")
            self._devtools = await self.browser.new_cdp_session(page)
            known: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            def updated(event: dict[str, Any]) -> None:
                for registration in event["registrations"]:
                    if registration["scopeURL"] == f"{url}/phone/" and not known.done():
                        known.set_result(registration["registrationId"])

            self._devtools.on("ServiceWorker.workerRegistrationUpdated", updated)
            await self._devtools.send("ServiceWorker.enable")
            self._registration = await asyncio.wait_for(known, 5)
        await self._devtools.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": url, "registrationId": self._registration, "data": data},
        )


async def let_calls_wake(scene: Scene, browser: BrowserContext, bob: BrowserPhone) -> Sleeper:
    """Bob switches it on in the page, as the button offers it."""
    stack = scene.stack
    token = stack.sandbox.install("webpush", public_key(stack.settings.push["webpush"].key_file))
    await bob.page.evaluate(_SUBSCRIBE, token)
    await bob.page.get_by_text("Settings").click()
    await bob.press("Let calls wake this browser")
    await bob.says("Calls are announced even when this page is closed")
    await stack.eventually(lambda: stack.device_can_be_woken("bob", bob.device), "the browser can be woken")
    assert bob.complaints == []
    return Sleeper(scene, browser, token)


async def close_page(scene: Scene, bob: BrowserPhone) -> None:
    await bob.page.close()
    await scene.stack.eventually(lambda: not scene.stack.bindings(bob.device), "the browser is asleep")


async def test_a_call_wakes_the_browser_whose_page_is_closed(
    scene: Scene, browser: BrowserContext, bob: BrowserPhone
) -> None:
    sleeper = await let_calls_wake(scene, browser, bob)
    await close_page(scene, bob)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    push = await sleeper.pushed()
    await sleeper.shows("Incoming call")
    assert "1001" not in json.dumps(push.payload)

    opened = await phone_in(browser, scene.stack)
    await opened.open()  # what a click on the notification does
    await opened.says("Calls you")
    await opened.press("Answer")
    await opened.says("Talking")
    await outgoing.answered(8)
    outgoing.audio.send_tone(CALLER_TONE)
    assert await outgoing.audio.heard(BROWSER_TONE, 6), "Alice does not hear the browser"
    await opened.assert_hears(CALLER_TONE)
    await sleeper.shows()
    await outgoing.hangup()
    story = await scene.story("push-sent", "push-accepted", "register", "invite-out", "answered", "bye")
    assert story.head.outcome == "answered"


async def test_p5_the_caller_gives_up_and_the_notification_goes(
    scene: Scene, browser: BrowserContext, bob: BrowserPhone
) -> None:
    sleeper = await let_calls_wake(scene, browser, bob)
    await close_page(scene, bob)
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await sleeper.pushed()
    await sleeper.shows("Incoming call")
    await outgoing.cancel()
    assert (await sleeper.pushed(2)).payload["type"] == "over"
    await sleeper.shows()


async def test_a_page_that_has_lost_its_connection_connects_at_once_when_a_push_comes(
    scene: Scene, browser: BrowserContext, bob: BrowserPhone
) -> None:
    sleeper = await let_calls_wake(scene, browser, bob)
    # As after a long sleep of the machine: the connection is gone, and the next attempt is not planned for soon.
    await bob.page.evaluate(
        "nightbell._ua._transport.recovery_options = { min_interval: 600, max_interval: 600 }; nightbell._socket.drop('asleep')"
    )
    await scene.stack.eventually(lambda: not scene.stack.bindings(bob.device), "the browser is asleep")
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    await sleeper.pushed()
    await bob.says("Calls you")
    await outgoing.cancel()
