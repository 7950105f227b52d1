"""The sandbox's control API, and the sandbox as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import pytest

from demo.sandbox import ProviderSandbox, Push, SandboxError

if TYPE_CHECKING:
    from tests.contract.sandbox.conftest import ApnsSender

TOPIC = "org.example.phone.voip"


@pytest.fixture
async def control(sandbox: ProviderSandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.control_url) as session:
        yield session


async def install(control: aiohttp.ClientSession, provider: str = "apns") -> str:
    async with control.post("/install", json={"provider": provider, "topic": TOPIC}) as response:
        assert response.status == 201
        token: str = (await response.json())["token"]
        return token


async def test_health_tells_the_addresses(sandbox: ProviderSandbox, control: aiohttp.ClientSession) -> None:
    async with control.get("/health") as response:
        health = await response.json()
    assert (health["status"], health["up"]) == ("ok", ["apns", "fcm", "webpush"])
    assert (health["apns"]["server"], health["apns"]["port"]) == sandbox.apns_address
    assert health["fcm"]["base_url"] == sandbox.fcm_url


async def test_install_push_read_uninstall(control: aiohttp.ClientSession, apns: ApnsSender) -> None:
    token = await install(control)
    assert (await apns.push(token, {"n": 1})).status_code == 200
    async with control.post("/uninstall", json={"token": token}) as response:
        assert response.status == 200
    assert (await apns.push(token, {"n": 2})).status_code == 410

    async with control.get("/pushes", params={"token": token}) as response:
        pushes = (await response.json())["pushes"]
    assert [(push["number"], push["status"], push["payload"]) for push in pushes] == [
        (1, 200, {"n": 1}),
        (2, 410, {"n": 2}),
    ]
    assert "authorization" not in json.dumps(pushes)
    async with control.get("/pushes", params={"since": "1", "limit": "5"}) as response:
        assert [push["number"] for push in (await response.json())["pushes"]] == [2]


async def test_orders_are_given_listed_and_withdrawn(
    control: aiohttp.ClientSession, apns: ApnsSender
) -> None:
    token = await install(control)
    order = {"provider": "apns", "reason": "Unregistered", "token": token, "unregistered_at": 1_700_000_000}
    async with control.post("/orders", json=order) as response:
        assert response.status == 201
        given = await response.json()
    async with control.get("/orders") as response:
        assert (await response.json())["orders"] == [given]
    assert (await apns.push(token)).json()["timestamp"] == 1_700_000_000_000
    async with control.delete(f"/orders/{given['id']}") as response:
        assert await response.json() == {"cancelled": True}
    assert (await apns.push(token)).status_code == 200

    async with control.post("/orders", json={"provider": "apns", "reason": "Shutdown"}):
        pass
    async with control.delete("/orders") as response:
        assert response.status == 200
    assert (await apns.push(token)).status_code == 200


async def test_a_phone_hears_its_pushes_as_json_lines(
    sandbox: ProviderSandbox, control: aiohttp.ClientSession, apns: ApnsSender
) -> None:
    token = await install(control)
    async with control.get(f"/deliveries/{token}") as stream:
        assert stream.status == 200
        left = list(sandbox.devices.get(token).listeners)
        assert len(left) == 1
        for number in (1, 2):
            await apns.push(token, {"n": number}, apns_expiration="1999999999")
            line = json.loads(await asyncio.wait_for(stream.content.readline(), 10))
            assert (line["token"], line["payload"]) == (token, {"n": number})
    # The phone has hung up: the next push waits for it.
    for listener in left:
        await asyncio.wait_for(listener.wait_closed(), 10)
    await apns.push(token, {"n": 3}, apns_expiration="1999999999")
    async with control.get(f"/deliveries/{token}") as stream:
        line = json.loads(await asyncio.wait_for(stream.content.readline(), 10))
    assert line["payload"] == {"n": 3}


async def test_a_listening_phone_does_not_keep_the_sandbox_from_stopping(
    sandbox: ProviderSandbox, control: aiohttp.ClientSession
) -> None:
    token = await install(control)
    async with control.get(f"/deliveries/{token}") as stream:
        await asyncio.wait_for(sandbox.stop(), 10)
        assert await asyncio.wait_for(stream.content.readline(), 10) == b""


async def test_a_provider_goes_down_and_up(control: aiohttp.ClientSession) -> None:
    async with control.post("/providers/apns", json={"up": False}) as response:
        assert (await response.json())["up"] == ["fcm", "webpush"]
    async with control.post("/providers/apns", json={"up": True}) as response:
        assert (await response.json())["up"] == ["apns", "fcm", "webpush"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/install", {"provider": "windows", "topic": "x"}, 400, "sandbox.unknown-provider"),
        ("POST", "/install", {"provider": "apns", "topic": ""}, 400, "sandbox.bad-order"),
        ("POST", "/install", {"provider": 7}, 400, "sandbox.bad-order"),
        ("POST", "/uninstall", {"token": "ab"}, 404, "sandbox.unknown-token"),
        ("POST", "/orders", {"provider": "apns", "reason": "Nonsense"}, 400, "sandbox.bad-order"),
        (
            "POST",
            "/orders",
            {"provider": "apns", "reason": "Shutdown", "colour": 1},
            400,
            "sandbox.bad-order",
        ),
        ("POST", "/orders", [], 400, "sandbox.bad-order"),
        ("POST", "/providers/windows", {"up": False}, 400, "sandbox.unknown-provider"),
        ("GET", "/deliveries/ab", None, 404, "sandbox.unknown-token"),
        ("GET", "/pushes?since=x", None, 400, "sandbox.bad-order"),
    ],
)
async def test_a_wrong_request_is_explained(
    control: aiohttp.ClientSession, method: str, path: str, body: Any, status: int, error: str
) -> None:
    async with control.request(method, path, json=body) as response:
        assert response.status == status
        assert (await response.json())["error"]["id"] == error


async def test_a_form_from_some_web_page_is_refused(control: aiohttp.ClientSession) -> None:
    async with control.post("/install", data='{"provider":"apns","topic":"x"}') as response:
        assert response.status == 400


def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(SandboxError, match="loopback"):
        ProviderSandbox("0.0.0.0")


async def test_it_has_no_address_before_it_starts() -> None:
    with pytest.raises(SandboxError, match="not running"):
        _ = ProviderSandbox("127.0.21.1").fcm_url


async def test_keys_are_kept_between_runs_and_private(sandbox: ProviderSandbox, directory: Path) -> None:
    key = (directory / "apns-key.p8").read_bytes()
    again = ProviderSandbox(sandbox.address)
    await again.start(directory)
    await again.stop()
    assert (directory / "apns-key.p8").read_bytes() == key
    for name in ("apns-key.p8", "service-account.json", "service-account.key", "server.key"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600


async def test_addresses_of_an_earlier_run_do_not_outlive_a_failed_start(
    sandbox: ProviderSandbox, tmp_path: Path
) -> None:
    (tmp_path / "sandbox.json").write_text("{}")
    with pytest.raises(OSError, match="address already in use"):
        await ProviderSandbox(sandbox.address).start(tmp_path, apns_port=sandbox.apns_address[1])
    assert not (tmp_path / "sandbox.json").exists()


async def test_a_port_that_is_taken_leaves_nothing_running(sandbox: ProviderSandbox, directory: Path) -> None:
    second = ProviderSandbox(sandbox.address)
    with pytest.raises(OSError, match="address already in use"):
        await second.start(directory, fcm_port=int(sandbox.fcm_url.rsplit(":", 1)[1]))
    assert second.up == frozenset()


async def test_the_process_runs_until_sigterm(tmp_path: Path) -> None:
    code = (
        "import sys; from demo.sandbox.main import run\n"
        "run(sys.argv[1], address='127.0.21.2', ready=lambda s: print(s.control_url, flush=True))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stdout
    url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
        assert (await response.json())["status"] == "ok"
    assert json.loads((tmp_path / "sandbox.json").read_text())["control_url"] == url
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_browser_is_listened_for_by_its_whole_subscription(
    sandbox: ProviderSandbox, control: aiohttp.ClientSession
) -> None:
    token = sandbox.install("webpush", "BKey")
    async with control.get(f"/deliveries/{quote(token, safe='')}") as stream:
        assert stream.status == 200
        sandbox.devices.deliver(Push(1, "webpush", token, "BKey", "id", 0.0, 0.0, "high", "data", 201, "", 1))
        assert json.loads(await stream.content.readline())["token"] == token
