"""A push provider is down: it refuses connections, or takes the push and never answers, or is not who it should be.

Its devices cannot be woken, and the call ends in time. The other provider's are woken as always. Once it is back, so are its
devices.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from demo.phone import Phone
from demo.stack import Stack
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, Handset, Scene, answered, hang_up
from tests.unit.phone.certificates import write_authority

OTHER = {"apns": "fcm", "fcm": "apns"}
WAIT = 2.0


@asynccontextmanager
async def down(stack: Stack, provider: str, how: str, folder: Path) -> AsyncIterator[None]:
    """The provider out of order for a while: ``refused``, ``silent`` or an ``impostor`` with another certificate."""
    sandbox = stack.sandbox
    if how == "silent":
        sandbox.order(provider, fault="hang")
        yield
        sandbox.clear_orders(provider)
        return
    sandbox.take_down(provider)
    try:
        if how == "impostor":
            async with impostor(stack, provider, folder):
                yield
        else:
            yield
    finally:
        sandbox.bring_up(provider)


@asynccontextmanager
async def impostor(stack: Stack, provider: str, folder: Path) -> AsyncIterator[None]:
    """A TLS server in the provider's place, whose certificate is of an authority that nobody trusts."""
    write_authority(folder, stack.address)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    tls.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.start_server(_hang_up, stack.address, port_of(stack, provider), ssl=tls)
    try:
        yield
    finally:
        server.close()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def port_of(stack: Stack, provider: str) -> int:
    """Where Nightbell looks for the provider."""
    table = stack.settings.push[provider]
    return int(table.port if provider == "apns" else table.base_url.rpartition(":")[2].rstrip("/"))


@pytest.mark.parametrize("how", ["refused", "silent", "impostor"])
@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_p4_the_call_ends_in_time_and_the_next_one_works_when_the_provider_is_back(
    scene: Scene, pbx_trace: PbxTrace, tmp_path: Path, provider: str, how: str
) -> None:
    await scene.extension(wait=WAIT)
    bob = await scene.asleep("Bob's phone", provider=provider)
    alice = await scene.caller()

    async with down(scene.stack, provider, how, tmp_path):
        first = await alice.call(BOB)
        await first.answered()  # by the voicemail
        await first.hangup()
    invite = await pbx_trace.wait_for("out", "INVITE")
    refused = await pbx_trace.wait_for("in", "INVITE", 480)
    assert refused.at - invite.at < WAIT + 0.5
    assert refused.header("Reason").startswith("SIP;cause=480;text=")
    await scene.story("push-refused", "failed")

    await call_until_woken(scene, bob)


async def call_until_woken(scene: Scene, bob: Handset) -> None:
    """Alice calls again; Nightbell looks once a second whether the provider is back, well within the wait."""
    alice = await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await hang_up(outgoing, incoming)


@pytest.mark.parametrize("how", ["refused", "silent", "impostor"])
@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_p4_the_other_providers_device_is_woken_without_delay(
    scene: Scene, tmp_path: Path, provider: str, how: str
) -> None:
    await scene.extension()
    unreachable = await scene.asleep("Bob's tablet", provider=provider, wakes=False)
    bob = await scene.asleep("Bob's phone", provider=OTHER[provider])
    alice = await scene.caller()

    usual = await call_and_hang_up(scene, alice, bob)
    await scene.put_to_sleep(bob)
    before = len(scene.pushes(unreachable))

    async with down(scene.stack, provider, how, tmp_path):
        woken_after = await call_and_hang_up(scene, alice, bob)

    # A busy machine is slow both times; the calm ones' usual is a few hundredths of a second.
    assert woken_after < max(500, 5 * usual)
    assert {push.status for push in scene.pushes(unreachable)[before:]} <= {0}


async def call_and_hang_up(scene: Scene, alice: Phone, bob: Handset) -> float:
    """Alice calls, Bob's phone is woken and answers; after how many ms it was registered."""
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await hang_up(outgoing, incoming)
    story = await scene.story("register", "bye")
    (registered,) = (beat for beat in story.beats if beat.step.step == "register")
    assert registered.step.device == bob.id
    return registered.offset_ms
