"""The phone's part of the web: links, accounts, and what is served under the name that the world knows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control import settings
from control.domain.secret import Secret
from control.push.webpush.vapid import public_key
from control.services import people, phone_links
from control.store.session import Store
from control.web.app import create_app
from tests.integration.web.conftest import NOW, basic

PUBLIC = "https://phone.example.org"
SETTINGS: dict[str, Any] = {
    "edge": {"domain": "example.org"},
    "phone": {"url": PUBLIC, "websocket": "wss://sip.example.org:7443"},
}


@pytest.fixture
def tables() -> dict[str, Any]:
    return SETTINGS


@pytest.fixture
def code(store: Store) -> Secret:
    with store.write() as session:
        people.add_user(session, "bob", "Bob")
        device = people.add_device(session, "bob", "Browser", "example.org")[0].id
        return phone_links.create(session, device, now=NOW).code


def redeem(client: FlaskClient, code: object) -> Any:
    return client.post("/api/phone/redeem", json={"code": code}, base_url=PUBLIC)


def test_u3_a_link_is_redeemed_for_an_account_once(client: FlaskClient, code: Secret) -> None:
    answer = redeem(client, code.reveal())
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    account = answer.json
    assert account | {"device": "", "password": ""} == {
        "device": "",
        "password": "",
        "device_name": "Browser",
        "user": "bob",
        "name": "Bob",
        "domain": "example.org",
        "address": "sip:bob@example.org",
        "sip": "wss://sip.example.org:7443",
        "ice_servers": [],
        "vapid_key": None,
    }
    again = redeem(client, code.reveal())
    assert (again.status_code, again.json["error"]["id"]) == (410, "gone")

    asked = client.get("/api/phone/account", headers=basic(account["device"], account["password"]))
    assert asked.status_code == 200
    assert asked.json == {key: value for key, value in account.items() if key != "password"}


def test_an_account_names_the_turn_server_and_the_key_for_pushes(
    store: Store, tmp_path: Path, code: Secret
) -> None:
    tables = {
        **SETTINGS,
        "turn": {"host": "turn.example.org"},
        "push": {"webpush": {"contact": "mailto:a@b.org"}},
    }
    parsed = settings.parse(tables, tmp_path)
    (tmp_path / "secrets/turn.key").write_text("hush\n")
    account = redeem(create_app(parsed, store, lambda: NOW).test_client(), code.reveal()).json
    assert account["vapid_key"] == public_key(parsed.push["webpush"].key_file)
    stun, turn = account["ice_servers"]
    assert stun == {"urls": ["stun:turn.example.org:3478"]}
    assert turn["username"] == f"{int(NOW) + 86_400}:{account['device']}"
    assert turn["credential"]


def test_u3_looking_at_a_link_does_not_use_it_up(client: FlaskClient, code: Secret) -> None:
    assert client.get("/api/phone/redeem").status_code == 405
    assert client.post("/api/phone/redeem", data={"code": code.reveal()}).status_code == 400
    assert redeem(client, code.reveal()).status_code == 200


@pytest.mark.parametrize("code", ["", " ", None, 7, "x" * 201, ["a"]])
def test_a_code_that_is_none_is_refused_with_what_to_send(client: FlaskClient, code: object) -> None:
    answer = redeem(client, code)
    assert answer.status_code == 400
    assert "application/json" in answer.json["error"]["message"]


def test_an_unknown_code_is_told_from_one_that_was_used(client: FlaskClient) -> None:
    answer = redeem(client, "x" * 32)
    assert (answer.status_code, answer.json["error"]["id"]) == (404, "not-found")


@pytest.mark.parametrize(
    "headers",
    [{}, basic("bob-none", "x"), basic("", ""), {"Authorization": "Basic !"}, {"Authorization": "Bearer x"}],
)
def test_an_account_is_told_to_nobody_else(client: FlaskClient, headers: dict[str, str]) -> None:
    answer = client.get("/api/phone/account", headers=headers)
    assert answer.status_code == 401
    assert answer.json is not None
    assert "new link" in answer.json["error"]["message"]


def test_who_guesses_a_password_is_slowed_down_and_told_for_how_long(
    client: FlaskClient, code: Secret
) -> None:
    account = redeem(client, code.reveal()).json
    device, password = account["device"], account["password"]

    def ask(path: str, password: str, **options: Any) -> TestResponse:
        return client.get(path, headers=basic(device, password), **options)

    paths = ["/api/phone/account", "/api/device/tokens"] * 5  # one count, whatever is asked for
    assert {ask(path, "guessed").status_code for path in paths} == {401}
    slowed = ask("/api/phone/account", password)
    assert slowed.status_code == 429
    assert slowed.json is not None
    wait = int(slowed.headers["Retry-After"])
    assert 0 < wait <= 61
    assert slowed.json["error"] == {
        "id": "too-many-requests",
        "message": f"Too many attempts with a credential that is not valid: wait {wait} seconds.",
    }
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert ask("/api/phone/account", password, environ_overrides=elsewhere).status_code == 200


def test_an_account_may_be_asked_for_however_often(client: FlaskClient, code: Secret) -> None:
    account = redeem(client, code.reveal()).json
    headers = basic(account["device"], account["password"])
    assert {client.get("/api/phone/account", headers=headers).status_code for _ in range(30)} == {200}


def test_under_its_public_name_there_is_the_phone_and_nothing_else(client: FlaskClient) -> None:
    for path in ("/", "/calls", "/api/calls", "/health"):
        assert client.get(path, base_url=PUBLIC).status_code == 404, path
        assert client.get(path, base_url="http://127.0.0.1:8080").status_code != 404, path
    assert client.get("/api/phone/account", base_url=PUBLIC).status_code == 401


def test_a_page_of_another_origin_may_ask_since_there_are_no_cookies(client: FlaskClient) -> None:
    headers = {"Origin": "https://crm.example.net", "Access-Control-Request-Method": "POST"}
    asked = client.options("/api/phone/redeem", headers=headers)
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    assert "content-type" in asked.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in asked.headers
    assert "Access-Control-Allow-Origin" not in client.get("/api/calls").headers


PAGES = ("/phone/", "/phone/example")


@pytest.mark.parametrize("path", PAGES)
def test_the_page_may_run_no_script_but_its_own_files_and_speak_to_nobody_but_us(
    client: FlaskClient, path: str
) -> None:
    answer = client.get(path, base_url=PUBLIC)
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"]) == ("'self'", "'self'")
    assert policy["connect-src"] == "'self' wss://sip.example.org:7443"
    assert policy["frame-ancestors"] == "'none'"
    assert "microphone=(self)" in answer.headers["Permissions-Policy"]
    for inline in ("style=", "onclick=", "<style", "javascript:"):
        assert inline not in answer.text
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", answer.text))


@pytest.mark.parametrize("path", PAGES)
def test_whatever_the_page_names_is_there(client: FlaskClient, path: str) -> None:
    named = re.findall(r'(?:href|src)="(/[^"#]*)"', client.get(path, base_url=PUBLIC).text)
    assert named
    manifest = client.get("/phone/manifest.webmanifest", base_url=PUBLIC)
    assert manifest.mimetype == "application/manifest+json"
    icons = [icon["src"] for icon in json.loads(manifest.text)["icons"]]
    for address in [*named, *icons]:
        with client.get(address, base_url=PUBLIC) as answer:
            assert answer.status_code == 200, address


def test_the_service_worker_keeps_all_files_of_the_page_and_is_itself_always_fresh(
    client: FlaskClient, store: Store, tmp_path: Path
) -> None:
    worker = client.get("/phone/sw.js", base_url=PUBLIC)
    assert worker.mimetype == "text/javascript"
    assert worker.headers["Cache-Control"] == "no-store"
    found = re.search(r"const FILES = (\[.*\]);", worker.text)
    assert found
    files = json.loads(found[1])
    assert "/phone/" in files
    assert {"/phone/static/app.js", "/phone/static/vendor/jssip.js", "/phone/static/phone.css"} <= set(files)
    for address in files:
        with client.get(address, base_url=PUBLIC) as answer:
            assert answer.status_code == 200, address
    elsewhere = {**SETTINGS, "phone": {"url": PUBLIC, "websocket": "wss://other.example.org"}}
    other = create_app(settings.parse(elsewhere, tmp_path), store).test_client()
    # Another policy is another page: browsers must not go on with the old one.
    assert other.get("/phone/sw.js", base_url=PUBLIC).text != worker.text
