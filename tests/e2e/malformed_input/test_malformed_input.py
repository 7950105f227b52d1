"""Broken and hostile input, over every transport: an answer or a closed socket, and everybody else's calls go on.

Nothing dies: Kamailio's processes are the same ones afterwards, and each of them answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from demo.phone.transport.port import client_tls
from demo.stack import Stack
from tests.e2e.malformed_input.hostile import ANSWERED, DROPPED, FRAMES, REGISTRAR, SOMEBODY, register
from tests.e2e.raw_sip import TcpSocket, UdpSocket, frame, request
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up


def processes(stack: Stack) -> set[int]:
    """The ids of Kamailio's processes."""
    main = stack.kamailio.pid
    assert main is not None, "Kamailio has died"
    found = {main}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == main:
            found.add(int(path.parent.name))
    return found


async def everybody_answers(stack: Stack) -> None:
    """Ask often enough that each worker gets its turn: one that is hurt spoils an innocent's next request."""
    for _ in range(4):
        async with UdpSocket(stack.sip_address()) as innocent:
            for _ in range(4):
                status = await innocent.ask(request("OPTIONS", REGISTRAR, source=innocent.source))
                assert status == 200, f"an innocent OPTIONS was answered {status}"


@pytest_asyncio.fixture
async def unharmed(stack: Stack) -> AsyncIterator[Stack]:
    """Afterwards Kamailio is as it was: the same processes, each in order, and nothing of ours has failed."""
    before, said = processes(stack), stack.kamailio.program.log.stat().st_size
    yield stack
    await everybody_answers(stack)
    assert processes(stack) == before
    with stack.kamailio.program.log.open("rb") as log:
        log.seek(said)
        assert b"Traceback" not in log.read(), "a handler failed; see kamailio.log"


async def test_s12_malformed_requests_over_udp_are_answered(unharmed: Stack) -> None:
    answers = {}
    for case, data in ANSWERED.items():
        async with UdpSocket(unharmed.sip_address()) as attacker:
            answers[case] = await attacker.ask(data)

    assert {case: status for case, status in answers.items() if not 400 <= status < 700} == {}


async def test_s12_garbage_over_udp_hurts_nobody(unharmed: Stack) -> None:
    async with UdpSocket(unharmed.sip_address()) as attacker:
        for data in DROPPED.values():
            for _ in range(4):
                attacker.send(data)
            await everybody_answers(unharmed)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_s12_nor_over_a_connection(unharmed: Stack, transport: str) -> None:
    tls = client_tls(unharmed.tls_ca) if transport == "tls" else None
    for data in (*ANSWERED.values(), *DROPPED.values()):
        async with await TcpSocket.open(unharmed.sip_address(transport), tls) as attacker:
            await attacker.send(data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))


async def test_s3_a_malformed_frame_hurts_its_own_websocket_alone(unharmed: Stack) -> None:
    async with await TcpSocket.open(unharmed.sip_address("ws")) as neighbour:
        await neighbour.upgrade()
        for case, data in FRAMES.items():
            async with await TcpSocket.open(unharmed.sip_address("ws")) as attacker:
                await attacker.upgrade()
                await attacker.send(data)
                ping = request("OPTIONS", REGISTRAR, source=SOMEBODY, protocol="WS")
                answer = await neighbour.answered_or_closed(frame(ping))
                assert "SIP/2.0 200" in answer, f"{case}: the neighbour was told {answer!r}"


@pytest.mark.parametrize("port", ["tcp", "tls", "ws", "wss"])
async def test_s3_the_wrong_language_on_a_port(unharmed: Stack, port: str) -> None:
    for data in (DROPPED["bytes"], DROPPED["HTTP"], register(), b"\x16\x03\x01" + bytes(300)):
        async with await TcpSocket.open(unharmed.sip_address(port)) as attacker:
            await attacker.send(data)


@pytest.mark.parametrize("length", ["2000000000", "99999999999999999999", "-1", "many"])
async def test_s3_a_body_too_long_for_us_closes_its_own_connection(unharmed: Stack, length: str) -> None:
    data = request("OPTIONS", REGISTRAR, f"Content-Length: {length}", source=SOMEBODY, protocol="TCP")
    async with await TcpSocket.open(unharmed.sip_address("tcp")) as attacker:
        await attacker.send(data + bytes(200_000))
        assert await attacker.closed()


async def test_s3_a_header_of_60_kb_over_tcp_is_answered_and_one_of_200_kb_closes(unharmed: Stack) -> None:
    def options(size: int) -> bytes:
        return request("OPTIONS", REGISTRAR, "X-Long: " + "x" * size, source=SOMEBODY, protocol="TCP")

    async with await TcpSocket.open(unharmed.sip_address("tcp")) as attacker:
        assert await attacker.answered_or_closed(options(60_000)) == "SIP/2.0 200 OK"
    async with await TcpSocket.open(unharmed.sip_address("tcp")) as attacker:
        assert await attacker.answered_or_closed(options(200_000)) == "closed"


@pytest.mark.parametrize(
    "lines",
    [
        [b"User-Agent: \xff\xfe"],
        [b"Contact: <sip:bob@127.0.7.13:5060;pn-provider=apns;pn-prid=%ff%fe%00>"],
        [f"Contact: <sip:bob@127.0.7.13:5060;pn-prid={'t' * 5000}>"],
        ["Contact: <sip:bob@127.0.7.13:5060>", *[f"Contact: <sip:bob{n}@127.0.7.13>" for n in range(100)]],
        ["Contact: *"],
        ["Expires: 99999999999"],
        [b"Path: <sip:\xff>"],
    ],
    ids=["agent", "token", "long token", "many contacts", "star", "for ever", "path"],
)
async def test_s12_a_device_that_is_who_it_says_sends_nonsense(
    unharmed: Stack, lines: list[str | bytes]
) -> None:
    device = await unharmed.add_device("phone", "bob")
    async with UdpSocket(unharmed.sip_address()) as phone:
        to = f"To: <sip:{device.id}@{unharmed.domain}>"

        status = await phone.ask_as(device.id, device.password, "REGISTER", REGISTRAR, to, *lines)

    assert status, "no answer"
    assert len(unharmed.bindings(device.id)) <= 1, "one device has several bindings"


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe\xfd", b"v=0\r\n", b"v=0\r\nm=audio 99999999 RTP/AVP 0\r\n", b"m=" * 10_000, b""],
    ids=["bytes", "a version", "a port", "lines", "nothing"],
)
async def test_s12_a_call_with_a_session_nobody_understands_ends(
    scene: Scene, unharmed: Stack, body: bytes
) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    async with UdpSocket(unharmed.sip_address()) as phone:
        headers = ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]

        status = await phone.ask_as(
            bob.id, bob.device.password, "INVITE", "sip:4711@nightbell.test", *headers, body=body
        )

    assert status >= 400


async def test_s12_the_next_call_works(scene: Scene, unharmed: Stack) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    async with UdpSocket(unharmed.sip_address()) as attacker:
        for data in (*ANSWERED.values(), *DROPPED.values()):
            attacker.send(data)
    for case in FRAMES.values():
        async with await TcpSocket.open(unharmed.sip_address("ws")) as attacking:
            await attacking.upgrade()
            await attacking.send(case)

    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def test_s3_many_at_once_over_tls_hurt_nobody_else(unharmed: Stack) -> None:
    """Of OpenSSL's data nothing is shared between workers: two that fail at once would free each other's (kemi/openssl.py)."""
    tls = client_tls(unharmed.tls_ca)
    at_once = asyncio.Semaphore(40)

    async def attack(data: bytes) -> None:
        # Whose handshake is reset has nothing to complain of.
        with contextlib.suppress(ConnectionError):
            async with at_once, await TcpSocket.open(unharmed.sip_address("tls"), tls) as attacker:
                await attacker.send(data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS"))

    hostile = [*ANSWERED.values(), *DROPPED.values()] * 15
    async with (
        await TcpSocket.open(unharmed.sip_address("tls"), tls) as one,
        await TcpSocket.open(unharmed.sip_address("tls"), tls) as another,
    ):

        async def both_are_answered() -> None:
            for innocent in (one, another):  # Kamailio gives new connections to its workers in turn
                ping = request("OPTIONS", REGISTRAR, source=innocent.source, protocol="TLS")
                # Line ends are answered one by one, to a peer that has gone too, which takes a worker seconds.
                assert await innocent.answered_or_closed(ping, within=15.0) == "SIP/2.0 200 OK"

        async with asyncio.TaskGroup() as attacks:
            under_way = {attacks.create_task(attack(data)) for data in hostile}
            while not all(task.done() for task in under_way):
                await both_are_answered()
        await both_are_answered()
