"""An operator's own pusher, asked by the edge agent: for the call, and when the call is over."""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from kemi.wire import WakeEndEvent
from tests.integration.edge.rig import Rig
from tests.integration.edge.waiting import until

ADDRESS = "127.0.11.4"
TOKEN = "any token of the operator's"


class Pusher:
    """Takes what is signed with its secret."""

    def __init__(self) -> None:
        self.secret = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
        self.url = ""
        self.got: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append(Webhook(self.secret).verify(await request.text(), dict(request.headers)))
        return web.Response(status=202)


@pytest.fixture
async def pusher(rig: Rig) -> AsyncIterator[Pusher]:
    pusher, app = Pusher(), web.Application()
    app.router.add_post("/push", pusher.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, 0).start()
    pusher.url = f"http://{ADDRESS}:{runner.addresses[0][1]}/push"
    (rig.home / "secrets/acme.key").write_text(pusher.secret)
    with (rig.home / "nightbell.toml").open("a") as file:
        file.write(f'[push.http.acme]\nurl = "{pusher.url}"\nsecret_file = "secrets/acme.key"\n')
    yield pusher
    await runner.cleanup()


async def test_a_pusher_is_asked_for_the_call_and_told_when_it_is_over(rig: Rig, pusher: Pusher) -> None:
    await rig.kamailio.start()
    await rig.start_agent()
    rig.send(
        replace(rig.registers("aa11"), tokens=[["acme", "org.example.app", "production", "voip", TOKEN]])
    )
    await until(lambda: rig.stored_tokens() == [TOKEN])
    wake = rig.wake("call-1")
    rig.send(wake)
    await until(lambda: "push-accepted" in rig.told("call-1"))
    rig.send(WakeEndEvent(ts=time.time(), id=wake.id, call="call-1", outcome="cancelled"))
    await until(lambda: "clear-sent" in rig.told("call-1"))

    assert [(push["type"], push["call"], push["wake"], push["token"]) for push in pusher.got] == [
        ("call", "call-1", wake.id, TOKEN),
        ("over", "call-1", wake.id, TOKEN),
    ]
    assert pusher.got[0]["app"] == "org.example.app"
    assert rig.told("call-1") == ["push-sent", "push-accepted", "wake-cancelled", "clear-sent"]
    assert rig.steps("call-1")[1].reason.startswith(f"acme {wake.id}.call.")
    assert TOKEN not in rig.log_file.read_text()
