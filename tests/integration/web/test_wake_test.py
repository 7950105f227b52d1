"""The button and the API that call a device for a test, as far as the web process goes: it asks, and tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.async_api import Browser, expect

from control.domain.journal import Step
from control.domain.push import PushToken
from control.domain.wake_test import TAKEN_WITHIN_S, call_id
from control.services import journal, people, tokens, wake_tests
from control.store.session import Store
from tests.integration.web.conftest import NOW
from tests.integration.web.test_in_browser import browser, complaints
from tests.integration.web.test_live import Web, web
from tests.integration.web.test_web import Page

__all__ = ["browser", "web"]


@pytest.fixture
def tables() -> dict[str, Any]:
    return {"push": {"log": {"development": True}}}


def phone(store: Store, *, token: bool = True) -> str:
    with store.write() as session:
        people.add_user(session, "alice")
        device = people.add_device(session, "alice", "Phone", "nightbell.test")[0].id
        if token:
            tokens.store_tokens(session, device, [PushToken("log", "app", "production", "aa11")], NOW - 60)
    return device


def carried_out(store: Store, test: str, device: str, at: float = NOW) -> None:
    """What the edge agent leaves of a test that it has carried out."""
    steps = [
        Step("c1", at, "invite-in", device, direction="in", sip_call_id=call_id(test)),
        Step("c1", at + 0.01, "push-sent", device, "log"),
        Step("c1", at + 0.02, "push-accepted", device, "log", code=200),
        Step("c1", at + 1.01, "register", device, code=200),
        Step("c1", at + 1.1, "ringing", device, code=180),
        Step("c1", at + 1.2, "cancelled"),
    ]
    with store.write() as session:
        assert [each.id for each in wake_tests.take(session, at)] == [test]
        journal.record(session, steps)
        wake_tests.over(session, test, at + 1.3)


def test_the_api_asks_for_a_test_and_tells_what_it_has_shown(client: FlaskClient, store: Store) -> None:
    device = phone(store)
    begun = client.post(f"/api/devices/{device}/wake")
    assert begun.status_code == 202
    where = begun.headers["Location"]
    assert begun.get_json() == client.get(where).get_json()
    assert (begun.get_json()["state"], begun.get_json()["ok"], begun.get_json()["steps"]) == (
        "waiting",
        None,
        [],
    )
    assert client.post(f"/api/devices/{device}/wake").headers["Location"] == where, "one at a time"
    carried_out(store, begun.get_json()["id"], device)
    told = client.get(where).get_json()
    assert (told["state"], told["ok"], told["call"]) == ("over", True, "c1")
    assert told["push_to_register_ms"] == pytest.approx(1000, abs=0.1)
    assert told["words"] == "It was woken, and rang 1090 ms after the push."
    assert [step["step"] for step in told["steps"]][:2] == ["invite-in", "push-sent"]
    assert client.post(f"/api/devices/{device}/wake").headers["Location"] != where


@pytest.mark.parametrize("path", ["/api/devices/{}/wake", "/devices/{}/wake"])
def test_a_device_without_a_token_is_refused_with_what_to_do(
    client: FlaskClient, store: Store, path: str
) -> None:
    answer = client.post(path.format(phone(store, token=False)))
    assert answer.status_code == 409
    assert "it is not connected, and has given no push token. Open the app once" in answer.text
    assert client.post(path.format("nobody")).status_code == 404


def test_what_nobody_has_wanted_is_not_there(client: FlaskClient, store: Store) -> None:
    device = phone(store)
    assert client.get(f"/api/devices/{device}/wake/none").status_code == 404
    begun = client.post(f"/api/devices/{device}/wake").headers["Location"]
    assert client.get(begun.replace(device, "another")).status_code == 404
    assert client.get(f"/api/devices/{device}/wake").status_code == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),  # as browsers send it without a Referer
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
def test_a_page_of_another_site_cannot_have_a_device_called(
    client: FlaskClient, store: Store, headers: Mapping[str, str], status: int
) -> None:
    device = phone(store)
    answer = client.post(f"/devices/{device}/wake", headers=headers)
    assert answer.status_code == status
    with store.read() as session:
        assert (wake_tests.latest(session, device, NOW) is not None) == (status == 303)


def test_the_page_has_a_button_and_tells_the_test_step_by_step(client: FlaskClient, store: Store) -> None:
    device = phone(store)
    assert Page(client.get(f"/devices/{device}").text).attributes("form", "action") == [
        f"/devices/{device}/wake"
    ]
    answer = client.post(f"/devices/{device}/wake")
    assert answer.headers["Location"] == f"/devices/{device}"
    assert "Being called …" in client.get(f"/devices/{device}").text
    with store.read() as session:
        test = wake_tests.latest(session, device, NOW)
    assert test is not None
    carried_out(store, test.id, device)
    text = client.get(f"/devices/{device}").text
    Page(text)
    assert "It was woken, and rang 1090 ms after the push." in text
    assert "Wake now" in text
    assert text.count("<li>") == 6


def test_a_device_that_nothing_can_reach_has_a_button_that_says_why(
    client: FlaskClient, store: Store
) -> None:
    text = client.get(f"/devices/{phone(store, token=False)}").text
    assert '<button id="wake-now" disabled' in text
    assert "It cannot be called for a test: Open the app once" in text


async def test_the_button_works_without_scripts_and_the_page_follows_by_itself(
    web: Web, browser: Browser
) -> None:
    web.push_by_log()
    device = phone(web.store)
    without = await (await browser.new_context(java_script_enabled=False)).new_page()
    await without.goto(f"{web.url}/devices/{device}")
    follows = await browser.new_page()
    wrong = complaints(follows)
    await follows.goto(f"{web.url}/devices/{device}")
    await follows.locator("#wake-now").focus()
    await without.locator("#wake-now").press("Enter")
    await expect(without.locator("#wake-now")).to_have_text("Being called …")
    await expect(follows.locator("#wake-now")).to_have_text("Being called …")
    # No edge agent runs here.
    told = "The edge agent did not take the test in hand."
    patience = (TAKEN_WITHIN_S + 10) * 1e3
    await expect(follows.locator("section.tested")).to_contain_text(told, timeout=patience)
    await expect(without.locator("section.tested")).to_contain_text(told, timeout=patience)
    await expect(follows.locator("#news")).to_contain_text(told)
    assert await follows.evaluate("document.activeElement.id") == "wake-now"
    assert wrong == []
