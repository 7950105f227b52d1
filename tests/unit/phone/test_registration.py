"""Registering, sleeping and waking, over every transport."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.phone import AsleepError, Phone, PushParams, Timers, TransportError

if TYPE_CHECKING:
    from tests.unit.phone.switchboard import Switchboard

MakePhone = Callable[..., Phone]
TRANSPORTS = ["udp", "tcp", "tls", "ws", "wss"]


def sockets_on(address: str) -> list[str]:
    """The sockets of this process bound to an IPv4 address, as Linux tells."""
    ours = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}  # noqa: PTH115
    octets = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    rows = [
        row.split()
        for name in ("tcp", "udp")
        for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[1].startswith(octets) and f"socket:[{row[9]}]" in ours]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_registers_with_digest(
    make: MakePhone, switchboard: Switchboard, transport: str, algorithm: str
) -> None:
    switchboard.algorithm = algorithm
    alice = make("alice", transport)
    reply = await alice.wake()
    assert reply.status == 200
    assert switchboard.bindings["alice"].flow.name == transport.upper()
    assert [m.status for m in alice.messages if m.direction == "in"] == [401, 200]
    assert (await alice.unregister()).status == 200
    assert switchboard.bindings == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_asleep_phone_has_no_socket(
    make: MakePhone, switchboard: Switchboard, transport: str
) -> None:
    alice = make("alice", transport)
    assert sockets_on("127.0.42.10") == []
    await alice.wake()
    call = await alice.call("nobody")
    assert len(sockets_on("127.0.42.10")) == 2
    seen = len(switchboard.seen)
    await alice.sleep()
    assert sockets_on("127.0.42.10") == []
    assert not alice.awake
    assert (await call.ended()).cause in ("lost", "refused")
    assert all(getattr(message, "method", "") != "REGISTER" for message in switchboard.seen[seen:])
    with pytest.raises(AsleepError):
        await alice.register()


async def test_wakes_again_with_the_same_instance_on_a_new_port(
    make: MakePhone, switchboard: Switchboard
) -> None:
    alice = make("alice")
    await alice.wake()
    first = switchboard.bindings["alice"]
    await alice.sleep()
    await alice.wake()
    second = switchboard.bindings["alice"]
    assert first.uri != second.uri
    assert f'+sip.instance="<{alice.instance}>"' in first.contact
    assert f'+sip.instance="<{alice.instance}>"' in second.contact


async def test_a_refresh_keeps_the_call_id_and_raises_the_cseq(
    make: MakePhone, switchboard: Switchboard
) -> None:
    alice = make("alice")
    await alice.wake()
    await asyncio.gather(alice.register(), alice.register())
    assert len({request.call_id for request in switchboard.registers}) == 1
    numbers = [request.cseq.sequence for request in switchboard.registers]
    assert len(set(numbers)) == 3
    assert numbers == sorted(numbers)


async def test_push_parameters_are_in_the_contact_uri_unescaped(
    make: MakePhone, switchboard: Switchboard
) -> None:
    push = PushParams("apns", "TEAM1.org.example.phone.voip&remote", "a1b2:voip&c3:remote")
    alice = make("alice", push=push)
    await alice.wake()
    assert switchboard.bindings["alice"].uri.endswith(
        ";pn-provider=apns;pn-param=TEAM1.org.example.phone.voip&remote;pn-prid=a1b2:voip&c3:remote"
    )
    assert "a1b2" not in repr(push)


async def test_a_wrong_password_is_asked_about_once(make: MakePhone, switchboard: Switchboard) -> None:
    alice = make("alice", password="wrong")
    assert (await alice.wake()).status == 401
    assert len([m for m in alice.messages if m.direction == "out"]) == 2
    assert "wrong" not in repr(alice.account)


async def test_the_digest_username_may_differ(make: MakePhone, switchboard: Switchboard) -> None:
    switchboard.passwords["alice-k7f3qd"] = "other"
    alice = make("alice", password="other", auth_user="alice-k7f3qd")
    assert (await alice.wake()).status == 200


async def test_a_too_brief_expiry_is_raised_to_what_is_asked(
    make: MakePhone, switchboard: Switchboard
) -> None:
    switchboard.min_expires = 120
    alice = make("alice")
    await alice.start()
    assert (await alice.register(expires=60)).status == 200
    assert switchboard.registers[-1].expires == 120


async def test_lost_datagrams_are_sent_again(make: MakePhone, switchboard: Switchboard) -> None:
    losses = iter([True, False, True, False, True])
    switchboard.lose = lambda message, direction: next(losses, False)
    alice = make("alice", timers=Timers(t1=0.02))
    assert (await alice.wake()).status == 200


async def test_nobody_at_the_server_is_a_408_without_headers(
    make: MakePhone, switchboard: Switchboard
) -> None:
    switchboard.lose = lambda message, direction: True
    alice = make("alice", timers=Timers(t1=0.005, t2=0.02))
    reply = await alice.wake()
    assert reply.status == 408
    assert reply.headers.keys() == []


@pytest.mark.parametrize("transport", ["tcp", "tls", "ws", "wss"])
async def test_nobody_listening_is_told(make: MakePhone, switchboard: Switchboard, transport: str) -> None:
    alice = make("alice", transport)
    alice.server = ("127.0.42.99", 9)
    with pytest.raises(TransportError, match=r"127\.0\.42\.99:9"):
        await alice.start()
    assert sockets_on("127.0.42.10") == []


@pytest.mark.parametrize("transport", ["tls", "wss"])
async def test_a_certificate_for_another_domain_is_refused(
    make: MakePhone, switchboard: Switchboard, phones: Callable[..., Phone], authority: Path, transport: str
) -> None:
    server = switchboard.address(transport)
    alice = phones("alice", "x", "elsewhere.test", server, transport=transport, ca_file=authority / "ca.pem")
    with pytest.raises(TransportError, match="certificate"):
        await alice.start()


@pytest.mark.parametrize("transport", ["tcp", "tls", "ws", "wss"])
async def test_a_lost_connection_is_noticed_and_ends_what_was_asked(
    make: MakePhone, switchboard: Switchboard, transport: str
) -> None:
    alice, bob = make("alice", transport), make("bob")
    await alice.wake()
    await bob.wake()
    bob.on_invite = type(bob.on_invite)(ring_after=0, answer_after=None)
    call = await alice.call("bob")
    await call.ringing()
    await switchboard.hang_up()
    await alice.until(lambda: not alice.awake)
    assert "lost" in alice.lost
    await call.ended()
    assert call.final is not None
    assert call.final.status == 503
    with pytest.raises(TransportError, match="lost"):
        await alice.register()
    assert (await alice.wake()).status == 200


async def test_an_unknown_transport_is_named(phones: Callable[..., Phone]) -> None:
    with pytest.raises(TransportError, match="sctp"):
        await phones("alice", "x", "nightbell.test", ("127.0.0.1", 9), transport="sctp").start()


async def test_waking_twice_at_once_leaves_one_socket(make: MakePhone, switchboard: Switchboard) -> None:
    alice = make("alice", "tcp")
    await asyncio.gather(alice.start(), alice.start())
    assert len(sockets_on("127.0.42.10")) == 1
    await asyncio.gather(alice.sleep(), alice.sleep())
    assert sockets_on("127.0.42.10") == []
