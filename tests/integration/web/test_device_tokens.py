"""An app gives its push tokens to the API: who may, what is taken, and what it is told of the rest."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control.push.webpush.vapid import public_key
from control.services import people, registrations, tokens
from control.store.session import Store
from tests.integration.web.conftest import NOW

DOMAIN = "example.org"
SETTINGS: dict[str, Any] = {
    "edge": {"domain": DOMAIN},
    "push": {
        "fcm": {"accounts": [{"service_account_file": "fcm.json"}]},
        "webpush": {"contact": "mailto:a@example.org"},
        "log": {"development": True},
    },
}
ANDROID = {"provider": "fcm", "app": "12345", "token": "dQw4:APA91b-x"}
KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}


@pytest.fixture
def tables() -> dict[str, Any]:
    return SETTINGS


class Phone:
    """A device of Bob's that speaks to the API."""

    def __init__(self, client: FlaskClient, store: Store) -> None:
        self._client = client
        with store.write() as session:
            device, password = people.add_device(session, "bob", "Phone", DOMAIN)
            self.id, self.password = device.id, password.reveal()

    def ask(self, method: str, body: object = None, password: str = "") -> TestResponse:
        secret = base64.b64encode(f"{self.id}:{password or self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {secret}"}
        return self._client.open("/api/device/tokens", method=method, json=body, headers=headers)

    def put(self, *brought: object) -> TestResponse:
        return self.ask("PUT", {"tokens": list(brought)})


@pytest.fixture
def phone(client: FlaskClient, store: Store) -> Phone:
    with store.write() as session:
        people.add_user(session, "bob")
    return Phone(client, store)


def held(store: Store, phone: Phone) -> list[str]:
    with store.read() as session:
        return [token.token for token in tokens.tokens_of(session, phone.id).get(phone.id, [])]


def problem(answer: TestResponse) -> str:
    assert answer.status_code == 400, answer.text
    assert answer.json is not None
    assert answer.json["error"]["id"] == "invalid-field"
    return str(answer.json["error"]["message"])


def test_p7_an_app_gives_its_tokens_and_sees_them_masked(phone: Phone, store: Store) -> None:
    alert = {"provider": "fcm", "app": "12345", "kind": "alert", "token": "other:token"}
    answer = phone.put(ANDROID, alert)
    assert answer.status_code == 200
    assert sorted(held(store, phone)) == ["dQw4:APA91b-x", "other:token"]
    assert answer.json == phone.ask("GET").json
    assert answer.json is not None
    (first, _) = sorted(answer.json["tokens"], key=lambda token: str(token["kind"]), reverse=True)
    assert (first["provider"], first["kind"], first["environment"]) == ("fcm", "voip", "production")
    assert (first["stored_at"], len(first["fingerprint"])) == (NOW, 8)
    assert "APA91b" not in answer.text


def test_p7_what_is_put_is_all_there_is(phone: Phone, store: Store) -> None:
    phone.put(ANDROID)
    phone.put(ANDROID | {"token": "new:token"})
    assert held(store, phone) == ["new:token"]
    assert phone.ask("DELETE").status_code == 204
    assert held(store, phone) == []
    phone.put(ANDROID)
    assert phone.put().json == {"tokens": []}
    assert held(store, phone) == []


def test_a_browser_gives_its_subscription(phone: Phone, store: Store, tmp_path: Path) -> None:
    subscription = {"expirationTime": None, "endpoint": "https://push.example/x", "keys": KEYS}
    vapid = public_key(tmp_path / "secrets/vapid.pem")
    answer = phone.put({"provider": "webpush", "app": vapid, "token": json.dumps(subscription, indent=1)})
    assert answer.status_code == 200, answer.text
    (kept,) = held(store, phone)
    assert json.loads(kept) == {"endpoint": "https://push.example/x", "keys": KEYS}
    assert phone.put({"provider": "webpush", "token": kept}).status_code == 200  # the key goes without saying
    assert held(store, phone) == [kept]


def test_p7_a_token_that_another_device_gives_is_that_ones(
    client: FlaskClient, phone: Phone, store: Store
) -> None:
    phone.put(ANDROID)
    other = Phone(client, store)
    other.put(ANDROID)
    assert (held(store, phone), held(store, other)) == ([], [ANDROID["token"]])
    with store.read() as session:
        assert registrations.last(session, phone.id)[0].action == "token-moved"


@pytest.mark.parametrize(
    ("item", "field", "hint"),
    [
        ("x", "tokens[0]", "object"),
        ({}, "tokens[0].provider", "text"),
        (ANDROID | {"provider": 7}, "tokens[0].provider", "text"),
        (ANDROID | {"provider": "apns"}, "tokens[0].provider", "must be fcm or webpush or log"),
        (ANDROID | {"kind": "loud"}, "tokens[0].kind", "voip or alert"),
        (ANDROID | {"environment": "test"}, "tokens[0].environment", "production or sandbox"),
        (ANDROID | {"app": "a b"}, "tokens[0].app", "project"),
        (ANDROID | {"token": ""}, "tokens[0].token", "not empty"),
        (ANDROID | {"token": "t\r\nX: 1"}, "tokens[0].token", "plain ASCII"),
        (ANDROID | {"token": "t" * 5000}, "tokens[0].token", "at most 4096"),
        (ANDROID | {"tokne": "t"}, "tokens[0].tokne", "is not known"),
        ({"provider": "webpush", "token": "{}"}, "tokens[0].token", "PushSubscription"),
        ({"provider": "webpush", "app": "B", "token": "{}"}, "tokens[0].app", "VAPID"),
        (
            {"provider": "webpush", "token": json.dumps({"endpoint": "http://10.0.0.1/", "keys": KEYS})},
            "tokens[0].token",
            "https",
        ),
    ],
)
def test_what_cannot_be_kept_names_the_field_and_loses_nothing(
    phone: Phone, store: Store, item: object, field: str, hint: str
) -> None:
    phone.put(ANDROID)
    message = problem(phone.put(item))
    assert message.startswith(f"{field}: ")
    assert hint in message
    assert held(store, phone) == [ANDROID["token"]]


@pytest.mark.parametrize("body", [None, [], {}, {"tokens": {}}, {"tokens": [ANDROID] * 11}, "x"])
def test_a_body_of_another_shape_is_refused(phone: Phone, body: object) -> None:
    assert problem(phone.ask("PUT", body)).startswith("tokens: ")


def test_two_tokens_for_one_use_are_refused(phone: Phone) -> None:
    assert problem(phone.put(ANDROID, ANDROID | {"token": "b"})).startswith("tokens[1]: ")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_without_the_credential_nothing_is_told_or_changed(
    client: FlaskClient, phone: Phone, store: Store, method: str
) -> None:
    phone.put(ANDROID)
    wrong = phone.ask(method, {"tokens": []}, password="guessed")
    nobody = client.open(
        "/api/device/tokens",
        method=method,
        json={"tokens": []},
        headers={"Authorization": "Basic " + base64.b64encode(b"bob-nobody:guessed").decode()},
    )
    none = client.open("/api/device/tokens", method=method, json={"tokens": []})
    assert (wrong.status_code, wrong.text) == (401, nobody.text)
    assert none.status_code == 401
    assert held(store, phone) == [ANDROID["token"]]


def test_who_guesses_is_slowed_down_and_nobody_else(client: FlaskClient, phone: Phone, store: Store) -> None:
    other = Phone(client, store)
    answers = [phone.ask("GET", password="guessed").status_code for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert phone.ask("GET").status_code == 429  # for a minute
    assert other.ask("GET").status_code == 200


def test_good_requests_are_not_counted(phone: Phone) -> None:
    assert {phone.ask("GET").status_code for _ in range(30)} == {200}


def test_a_huge_body_is_refused(phone: Phone) -> None:
    assert phone.put(ANDROID | {"token": "t" * 100_000}).status_code in (400, 413)
