"""The HTTP provider against a pusher: signed as Standard Webhooks wants it, its statuses understood."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from control.domain.push import Outcome, PushNotice, PushToken
from control.push.dispatcher import Dispatcher
from control.push.errors import PushCredentialsError
from control.push.http.provider import HttpProvider
from control.push.http.settings import PusherSettings
from control.push.providers import configured

if TYPE_CHECKING:
    from tests.contract.push.conftest import Rig

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN = PushToken("acme", "org.example.app", "production", "any:token é", kind="alert")


@dataclass
class Pusher:
    """An operator's pusher: verifies what it gets, answers as it is told."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    hangs: bool = False
    secret: str = SECRET

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        try:
            self.got.append(Webhook(self.secret).verify(text, dict(request.headers)))
        except WebhookVerificationError:
            return web.Response(status=401)
        self.ids.append(request.headers["webhook-id"])
        if self.hangs:
            await asyncio.Event().wait()
        status, headers = self.answers.pop(0) if self.answers else (204, {})
        return web.Response(status=status, headers=headers)


@pytest.fixture
async def pusher(rig: Rig) -> AsyncIterator[Pusher]:
    pusher, credentials = Pusher(), rig.sandbox.credentials
    app = web.Application()
    app.router.add_post("/push", pusher.handle)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(credentials.certificate_file, credentials.certificate_key_file)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, rig.sandbox.address, 0, ssl_context=tls).start()
    pusher.url = f"https://{rig.sandbox.address}:{runner.addresses[0][1]}/push"
    yield pusher
    await runner.cleanup()


@asynccontextmanager
async def http(rig: Rig, pusher: Pusher, folder: Path, secret: str = SECRET) -> AsyncIterator[HttpProvider]:
    secret_file = folder / "acme.key"
    secret_file.write_text(secret + "\n")
    settings = PusherSettings(pusher.url, secret_file, rig.sandbox.credentials.ca_file)
    provider = HttpProvider("acme", settings, rig.clock)
    await provider.start()
    try:
        yield provider
    finally:
        await provider.close()


async def test_a_push_is_signed_and_says_what_it_is_for(rig: Rig, pusher: Pusher, tmp_path: Path) -> None:
    notice = rig.notice()
    async with http(rig, pusher, tmp_path) as provider:
        verdict = await provider.push(TOKEN, notice)
    assert (verdict.outcome, verdict.status) == (Outcome.DELIVERED, 204)
    assert verdict.provider_id == pusher.ids[0]
    assert pusher.got == [
        {
            "type": "call",
            "token": TOKEN.token,
            "app": "org.example.app",
            "kind": "alert",
            "call": "k7f3",
            "wake": "w1",
            "deadline": notice.deadline,
        }
    ]


async def test_p6_a_caller_travels_only_if_the_notice_has_one(
    rig: Rig, pusher: Pusher, tmp_path: Path
) -> None:
    async with http(rig, pusher, tmp_path) as provider:
        await provider.push(TOKEN, PushNotice("c", "w", rig.clock() + 5, caller="Alice"))
    assert pusher.got[0]["caller"] == "Alice"


async def test_a_second_attempt_has_the_id_of_the_first(rig: Rig, pusher: Pusher, tmp_path: Path) -> None:
    pusher.answers = [(503, {}), (202, {})]
    async with http(rig, pusher, tmp_path) as provider:
        verdict = await Dispatcher([provider], rig.clock).dispatch(TOKEN, rig.notice())
    assert verdict.outcome is Outcome.DELIVERED
    assert pusher.ids[0] == pusher.ids[1]
    assert TOKEN.token not in pusher.ids[0]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.DELIVERED),
        (202, Outcome.DELIVERED),
        (302, Outcome.REJECTED),
        (400, Outcome.REJECTED),
        (401, Outcome.MISCONFIGURED),
        (403, Outcome.MISCONFIGURED),
        (404, Outcome.MISCONFIGURED),
        (405, Outcome.MISCONFIGURED),
        (408, Outcome.RETRY),
        (410, Outcome.TOKEN_DEAD),
        (422, Outcome.REJECTED),
        (429, Outcome.RETRY),
        (500, Outcome.RETRY),
        (503, Outcome.RETRY),
    ],
)
async def test_each_status_has_its_outcome(
    rig: Rig, pusher: Pusher, tmp_path: Path, status: int, outcome: Outcome
) -> None:
    pusher.answers = [(status, {"Location": "/elsewhere"} if status == 302 else {})]
    async with http(rig, pusher, tmp_path) as provider:
        verdict = await provider.push(TOKEN, rig.notice())
    assert (verdict.outcome, verdict.status) == (outcome, status)
    assert len(pusher.got) == 1


async def test_p4_retry_after_is_passed_on(rig: Rig, pusher: Pusher, tmp_path: Path) -> None:
    pusher.answers = [(429, {"Retry-After": "7"})]
    async with http(rig, pusher, tmp_path) as provider:
        assert (await provider.push(TOKEN, rig.notice())).retry_after == 7.0


async def test_another_secret_is_misconfigured(rig: Rig, pusher: Pusher, tmp_path: Path) -> None:
    async with http(rig, pusher, tmp_path, secret="whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") as provider:
        verdict = await provider.push(TOKEN, rig.notice())
    assert (verdict.outcome, verdict.status, pusher.got) == (Outcome.MISCONFIGURED, 401, [])


async def test_p4_a_pusher_that_hangs_gives_retry_at_the_deadline(
    rig: Rig, pusher: Pusher, tmp_path: Path
) -> None:
    pusher.hangs = True
    async with http(rig, pusher, tmp_path) as provider:
        began = time.monotonic()
        verdict = await provider.push(TOKEN, rig.notice(0.3))
        assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "timeout")
        assert time.monotonic() - began < 2


async def test_each_table_is_a_provider_of_its_own(rig: Rig, tmp_path: Path) -> None:
    table = {name: PusherSettings("https://push.example", tmp_path / name) for name in ("acme", "other")}
    assert [provider.name for provider in configured({"http": table}, rig.clock)] == ["acme", "other"]


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!", "whsec_AAAAé"])
async def test_a_secret_that_is_none_stops_the_start_with_its_name_and_is_not_shown(
    rig: Rig, pusher: Pusher, tmp_path: Path, text: str
) -> None:
    with pytest.raises(PushCredentialsError, match=r"push\.http\.acme\.secret_file .*openssl") as error:
        async with http(rig, pusher, tmp_path, secret=text):
            pass
    assert "!!!" not in str(error.value)


async def test_a_missing_secret_stops_the_start(rig: Rig, tmp_path: Path) -> None:
    provider = HttpProvider("acme", PusherSettings("https://push.example", tmp_path / "none"), rig.clock)
    with pytest.raises(PushCredentialsError, match="No such file"):
        await provider.start()
