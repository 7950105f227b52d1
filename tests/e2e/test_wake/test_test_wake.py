"""Test calls, by command line, API and page: one wakes a device, rings it, and ends; or says which step failed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
from click.testing import CliRunner, Result
from playwright.async_api import async_playwright, expect

from control.cli.main import main
from control.domain.reach import Reach
from control.services import people, reach
from demo.phone import Answer
from demo.stack import Stack
from tests.e2e.scene import Handset, Scene

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
)


async def wake(scene: Scene, device: str) -> Result:
    home: Path = scene.stack.settings.home
    return await asyncio.to_thread(CliRunner().invoke, main, ["device", "wake", device, "--home", str(home)])


async def ask(stack: Stack, method: str, path: str) -> tuple[int, Any]:
    """The status and the JSON of an answer of the API."""
    web = stack.settings.web
    url = f"http://{web.address}:{web.port}{path}"
    async with aiohttp.ClientSession() as http, http.request(method, url) as answer:
        return answer.status, await answer.json() | {"location": answer.headers.get("Location")}


async def over(stack: Stack, where: str, within: float = 30.0) -> Any:
    """What a test has shown."""
    deadline = time.monotonic() + within
    while True:
        status, test = await ask(stack, "GET", where)
        assert status == 200, test
        if test["state"] == "over":
            return test
        assert time.monotonic() < deadline, test
        await asyncio.sleep(0.1)


async def stands(scene: Scene, handset: Handset, wanted: Reach) -> None:
    """Return when the pages know how the device stands."""

    def known() -> bool:
        with scene.stack.store.read() as session:
            device = people.get_device(session, handset.id)
            (found,) = reach.of(session, [device], scene.stack.settings.reach_terms, time.time())
            return found.reach.state is wanted

    await scene.stack.eventually(lambda: known() or None, f"{handset.id} is {wanted}", 5.0)


async def test_w5_a_device_that_sleeps_is_woken_rung_and_left_in_peace(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone")
    bob.phone.on_invite = Answer(answer_after=None)
    shown = await wake(scene, bob.id)
    assert shown.exit_code == 0, shown.output
    assert "It was woken, and rang" in shown.output
    assert "Test call" in shown.output
    assert (await (await bob.phone.incoming()).ended()).cause == "cancelled"
    assert len(scene.pushes(bob)) == 1


async def test_a_device_without_a_token_is_told_of_at_once(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's desk phone", push=False)
    await scene.put_to_sleep(bob)
    await stands(scene, bob, Reach.UNREACHABLE)
    shown = await wake(scene, bob.id)
    assert shown.exit_code == 1
    assert "it is not connected, and has given no push token. Open the app once" in shown.output
    status, answer = await ask(scene.stack, "POST", f"/api/devices/{bob.id}/wake")
    assert (status, answer["error"]["id"]) == (409, "not-possible")
    assert "has given no push token" in answer["error"]["message"]
    status, answer = await ask(scene.stack, "GET", f"/api/devices/{bob.id}/wake/none")
    assert (status, answer["error"]["id"]) == (404, "not-found")


async def test_a_phone_that_answers_before_the_test_is_over_is_hung_up_on(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("Bob's phone", push=False)
    await stands(scene, bob, Reach.CONNECTED)
    bob.phone.on_invite = Answer(ring_after=None, answer_after=0)
    shown = await wake(scene, bob.id)
    assert shown.exit_code == 0, shown.output
    assert "rang without a push" in shown.output
    await (await bob.phone.incoming()).ended()


async def test_the_api_measures_from_the_push_to_the_register(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone", wake_after=0.3)
    bob.phone.on_invite = Answer(answer_after=None)
    status, begun = await ask(scene.stack, "POST", f"/api/devices/{bob.id}/wake")
    assert (status, begun["state"], begun["ok"]) == (202, "waiting", None)
    assert begun["location"] == f"/api/devices/{bob.id}/wake/{begun['id']}"
    # One that is under way is as good as another: a second click rings nobody twice.
    again, same = await ask(scene.stack, "POST", f"/api/devices/{bob.id}/wake")
    assert (again, same["id"]) == (202, begun["id"])
    test = await over(scene.stack, begun["location"])
    assert test["ok"], test
    assert "It was woken, and rang" in test["words"]
    assert 300 <= test["push_to_register_ms"] < 10_000
    steps = [step["step"] for step in test["steps"]]
    wanted = ["push-sent", "register", "ringing"]
    assert [step for step in steps if step in wanted] == wanted
    assert len(scene.pushes(bob)) == 1
    # It is over: the next is another one, and the device may be called again.
    await scene.put_to_sleep(bob)
    _, next_one = await ask(scene.stack, "POST", f"/api/devices/{bob.id}/wake")
    assert next_one["id"] != begun["id"]
    await over(scene.stack, next_one["location"])


async def test_u1_the_api_names_the_step_that_failed(scene: Scene) -> None:
    await scene.extension(wait=5)
    bob = await scene.asleep("Bob's phone", wakes=False)
    _, begun = await ask(scene.stack, "POST", f"/api/devices/{bob.id}/wake")
    test = await over(scene.stack, begun["location"], within=60.0)
    assert test["ok"] is False
    assert "apns accepted the push, and the phone did not register" in test["words"]
    assert test["push_to_register_ms"] is None


async def test_the_page_calls_a_device_by_keyboard_and_tells_step_by_step(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.asleep("Bob's phone")
    bob.phone.on_invite = Answer(answer_after=None)
    web = scene.stack.settings.web
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(CHROMIUM))
        page = await browser.new_page()
        await page.goto(f"http://{web.address}:{web.port}/devices/{bob.id}")
        await page.locator("#wake-now").focus()
        await page.keyboard.press("Enter")
        told = page.locator("section.tested")
        await expect(told).to_contain_text("It was woken, and rang", timeout=20_000)
        await expect(told.locator("li")).not_to_have_count(0)
        await expect(told).to_contain_text("Push sent to APNs")
        await browser.close()
    assert len(scene.pushes(bob)) == 1
