"""From the provider to the phone: who hears a push, and what waits for a phone that is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from demo.sandbox import ProviderSandbox, Push, SandboxError
from demo.sandbox.devices import Devices

if TYPE_CHECKING:
    from tests.contract.sandbox.conftest import ApnsSender, FcmSender

TOPIC = "org.example.phone.voip"
NOW = 1_700_000_000.0


@pytest.fixture
def devices() -> Devices:
    return Devices(lambda: NOW)


def push(token: str, number: int, expires_at: float = 0.0, provider: str = "apns") -> Push:
    return Push(number, provider, token, TOPIC, "id", NOW, expires_at, "10", "voip", 200, "", 1)


async def heard(devices: Devices, token: str) -> list[int]:
    with devices.deliveries(token) as deliveries:
        deliveries.close()
        return [push.number async for push in deliveries]


async def test_a_push_reaches_its_phone_and_no_other(sandbox: ProviderSandbox, apns: ApnsSender) -> None:
    alice, bob = sandbox.install("apns", TOPIC), sandbox.install("apns", TOPIC)
    for_alice, for_bob = sandbox.deliveries(alice), sandbox.deliveries(bob)
    await apns.push(alice, {"call": "for alice"})
    await apns.push(bob, {"call": "for bob"})
    assert (await anext(for_alice)).payload == {"call": "for alice"}
    assert (await anext(for_bob)).payload == {"call": "for bob"}


async def test_fcm_reaches_its_phone(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    token = sandbox.install("fcm", "org.example.phone")
    deliveries = sandbox.deliveries(token)
    await fcm.push(token, data={"call": "c1"})
    assert (await anext(deliveries)).payload == {"call": "c1"}


async def test_a_refused_push_reaches_nobody(sandbox: ProviderSandbox, apns: ApnsSender) -> None:
    token = sandbox.install("apns", TOPIC)
    deliveries = sandbox.deliveries(token)
    sandbox.order("apns", reason="TooManyRequests", count=1)
    await apns.push(token, {"n": 1})
    await apns.push(token, {"n": 2})
    assert (await anext(deliveries)).payload == {"n": 2}


async def test_the_iteration_ends_when_the_sandbox_stops(sandbox: ProviderSandbox) -> None:
    deliveries = sandbox.deliveries(sandbox.install("apns", TOPIC))
    reading = asyncio.create_task(anext(deliveries, None))
    await asyncio.sleep(0)
    await sandbox.stop()
    assert await asyncio.wait_for(reading, 10) is None


async def test_an_unknown_token_has_no_deliveries(sandbox: ProviderSandbox) -> None:
    with pytest.raises(SandboxError):
        sandbox.deliveries("ab" * 32)


async def test_apns_keeps_the_newest_push_for_an_absent_phone(devices: Devices) -> None:
    token = devices.install("apns", TOPIC)
    for number in (1, 2, 3):
        devices.deliver(push(token, number, expires_at=NOW + 30))
    assert await heard(devices, token) == [3]
    assert await heard(devices, token) == [], "it is delivered once"


async def test_fcm_keeps_several_pushes_for_an_absent_phone(devices: Devices) -> None:
    token = devices.install("fcm", "org.example.phone")
    for number in (1, 2, 3):
        devices.deliver(push(token, number, expires_at=NOW + 30, provider="fcm"))
    assert await heard(devices, token) == [1, 2, 3]


async def test_w5_a_push_that_has_expired_does_not_ring_a_phone_that_comes_back(devices: Devices) -> None:
    token = devices.install("apns", TOPIC)
    devices.deliver(push(token, 1, expires_at=0.0))
    devices.deliver(push(token, 2, expires_at=NOW))
    assert await heard(devices, token) == []


async def test_every_listener_of_a_phone_hears_a_push_and_one_that_left_does_not_count(
    devices: Devices,
) -> None:
    token = devices.install("apns", TOPIC)
    first, second = devices.deliveries(token), devices.deliveries(token)
    devices.deliver(push(token, 1, expires_at=NOW + 30))
    assert [(await anext(listener)).number for listener in (first, second)] == [1, 1]
    first.close()
    second.close()
    devices.deliver(push(token, 2, expires_at=NOW + 30))
    assert await heard(devices, token) == [2]


def test_tokens_have_the_vendors_shapes(devices: Devices) -> None:
    assert len(bytes.fromhex(devices.install("apns", TOPIC))) == 32
    assert ":APA91b" in devices.install("fcm", "org.example.phone")
    with pytest.raises(SandboxError):
        devices.install("windows", TOPIC)
