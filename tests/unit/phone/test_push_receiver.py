"""A push wakes the phone, which had no socket before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp import web

from demo.phone import Phone, PushReceiver, StillWaitingError

if TYPE_CHECKING:
    from tests.unit.phone.switchboard import Switchboard

MakePhone = Callable[..., Phone]


class PushService:
    """Streams JSON lines to whoever listens for a token."""

    def __init__(self) -> None:
        self.url = ""
        self.listening: dict[str, web.StreamResponse] = {}
        self.ended = asyncio.Event()

    async def deliver(self, token: str, line: bytes | None = None) -> None:
        await self.listening[token].write(line or json.dumps({"token": token}).encode() + b"\n")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.listening[request.match_info["token"]] = response
        await self.ended.wait()
        return response


@pytest_asyncio.fixture
async def service() -> AsyncIterator[PushService]:
    pushes = PushService()
    app = web.Application()
    app.router.add_get("/deliveries/{token}", pushes.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.42.1", 0).start()
    pushes.url = "http://{}:{}/".format(*runner.addresses[0])
    yield pushes
    pushes.ended.set()
    await runner.cleanup()


async def test_a_push_wakes_the_phone(
    make: MakePhone, switchboard: Switchboard, service: PushService
) -> None:
    alice = make("alice")
    async with PushReceiver(service.url, "a:b_c-d", alice) as receiver:
        assert not alice.awake
        await service.deliver("a:b_c-d")
        delivery = await receiver.delivered()
        assert delivery.body == {"token": "a:b_c-d"}
        await alice.wait_for(lambda m: m.status == 200)
    assert "alice" in switchboard.bindings
    assert len(switchboard.registers) == 1


@pytest.mark.parametrize("prefix", ["", "nightbell_"])
async def test_p5_the_news_that_a_call_is_over_clears_what_is_shown_and_wakes_nobody(
    make: MakePhone, switchboard: Switchboard, service: PushService, prefix: str
) -> None:
    def line(kind: str) -> bytes:
        return json.dumps({"payload": {f"{prefix}type": kind, f"{prefix}call": "c1"}}).encode() + b"\n"

    alice = make("alice")
    async with PushReceiver(service.url, "t", alice) as receiver:
        await service.deliver("t", line("call"))
        await alice.wait_for(lambda m: m.status == 200)
        assert receiver.showing == ["c1"]
        await service.deliver("t", line("over"))
        await receiver.delivered(2)
        assert receiver.showing == []
    assert len(switchboard.registers) == 1


async def test_w4_some_apps_register_three_times_after_one_push(
    make: MakePhone, switchboard: Switchboard, service: PushService
) -> None:
    alice = make("alice")
    async with PushReceiver(service.url, "t", alice, registers=3):
        await service.deliver("t")
        await alice.until(lambda: len(switchboard.registers) == 3)


async def test_heartbeats_are_no_pushes_and_a_second_push_registers_anew(
    make: MakePhone, switchboard: Switchboard, service: PushService
) -> None:
    alice = make("alice")
    async with PushReceiver(service.url, "t", alice) as receiver:
        await service.deliver("t", b"\n")
        await service.deliver("t")
        await alice.until(lambda: len(switchboard.registers) == 1)
        first = switchboard.bindings["alice"].uri
        await service.deliver("t")
        await alice.until(lambda: len(switchboard.registers) == 2)
        assert switchboard.bindings["alice"].uri == first
        assert len(receiver.deliveries) == 2


async def test_a_push_service_that_is_not_there_is_told(make: MakePhone) -> None:
    with pytest.raises(StillWaitingError, match="push service connected"):
        await PushReceiver("http://127.0.42.98:9", "t", make("alice")).start(timeout=0.3)
