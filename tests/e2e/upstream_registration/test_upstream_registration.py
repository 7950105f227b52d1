"""Nightbell stays registered at the PBX for Bob's extension, as one well-behaved phone would, while Bob's devices sleep."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import select

from control.domain.secret import Secret
from control.store.models import UpstreamState
from demo.phone import Answer
from demo.phone.message import parse
from demo.stack import Stack
from kemi.wire import TABLE_CONNECTION, UpstreamDoc
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.pbx_trace import PbxTrace, Seen
from tests.e2e.scene import BOB, Scene, answered, hang_up

SHORT = 6  # s, so that a refresh is due each second


def number(register: Seen) -> int:
    """The CSeq number."""
    return int(register.header("CSeq").split()[0])


def registers(trace: PbxTrace, connection: str) -> list[Seen]:
    """The REGISTERs of a connection that the PBX has received, oldest first."""
    return [m for m in trace.messages("in", "REGISTER") if f"sip:{connection}@" in m.header("Contact")]


@dataclass(frozen=True)
class Standing:
    """How a registration stands: the status of the PBX's last answer, and when the next REGISTER is due (UNIX seconds)."""

    code: int
    due: float


async def stands(stack: Stack, connection: str, *states: str) -> Standing:
    """The registration, once it is in one of these states."""
    row = UpstreamState
    query = select(row.state, row.code, row.durable).where(row.connection_id == connection)

    def reached() -> Standing | None:
        with stack.store.read() as session:
            found = session.execute(query).first()
        if found is None or found.state not in states:
            return None
        return Standing(found.code, UpstreamDoc.decode(found.durable).due)

    standing = await stack.eventually(reached, f"{connection} is {' or '.join(states)}")
    assert isinstance(standing, Standing)
    return standing


async def test_r1_refreshes_keep_the_call_id_and_raise_the_cseq(scene: Scene, pbx_trace: PbxTrace) -> None:
    with pbx_set(scene.stack.pbx, BOB, "aor", maximum_expiration=SHORT):
        connection = await scene.extension()

        await scene.stack.eventually(
            lambda: len(pbx_trace.messages("out", "REGISTER", 200)) >= 4, "three refreshes are accepted"
        )

    sent = registers(pbx_trace, connection)
    assert len({(m.header("Call-ID"), m.header("From")) for m in sent}) == 1, (
        "a refresh began a new registration"
    )
    numbers = [number(m) for m in sent]
    assert numbers == sorted(set(numbers)), f"CSeq went back or stood still: {numbers}"
    refreshes = [m for m in sent[2:] if m.header("Authorization")]
    assert refreshes, "a refresh asks for a challenge although the last nonce is known"
    assert (await stands(scene.stack, connection, "registered")).code == 200


async def test_r2_a_wrong_password_is_not_tried_again_and_again(scene: Scene, pbx_trace: PbxTrace) -> None:
    connection = await scene.stack.add_connection(BOB, "bob", password=Secret("not-the-password"))

    standing = await stands(scene.stack, connection, "refused", "stopped")

    assert standing.code in (401, 403)
    assert standing.due > time.time() + 20, "the next try comes too soon"
    assert not scene.stack.pbx.contacts(BOB)
    tries = len(registers(pbx_trace, connection))
    assert tries <= 3, f"{tries} REGISTERs before giving up for now"
    # The PBX would ban an address that goes on: silence now, whatever Nightbell is told meanwhile.
    scene.stack.kamailio.restart()
    await hears_nothing(scene.stack, pbx_trace, connection, tries)


async def hears_nothing(stack: Stack, trace: PbxTrace, connection: str, before: int) -> None:
    """Another extension registers meanwhile, so Kamailio's registrar is at work; this connection stays silent."""
    other = await stack.add_connection("1003", "carol")
    await stack.wait_registered(other)
    assert len(registers(trace, connection)) == before


async def test_r2_it_registers_again_once_the_password_is_right(scene: Scene) -> None:
    stack = scene.stack
    wrong = await stack.add_connection(BOB, "bob", password=Secret("not-the-password"))
    await stands(stack, wrong, "refused", "stopped")

    await stack.remove_connection(wrong)
    right = await stack.add_connection(BOB, "bob")

    await stack.wait_registered(right)


async def test_r6_a_connection_that_is_removed_signs_off_first(scene: Scene, pbx_trace: PbxTrace) -> None:
    stack = scene.stack
    connection = await scene.extension()
    before = registers(pbx_trace, connection)

    await stack.remove_connection(connection)

    await stack.eventually(
        lambda: len(registers(pbx_trace, connection)) > len(before), "the PBX wrote the last REGISTER down"
    )
    last = registers(pbx_trace, connection)[-1]
    assert last.header("Expires") == "0"
    assert last.header("Call-ID") == before[-1].header("Call-ID")
    assert number(last) > number(before[-1])
    assert stack.pbx.contacts(BOB) == []
    await stack.eventually(
        lambda: stack.table(TABLE_CONNECTION, connection) is None, "Kamailio has forgotten the connection"
    )


async def test_r5_the_pbxs_qualify_is_answered_while_all_devices_sleep(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    connection = await scene.extension()
    bob = await scene.asleep("phone")
    before = len(pbx_trace.messages("in", "OPTIONS", 200))

    scene.stack.pbx.cli(f"pjsip qualify {BOB}")

    await scene.stack.eventually(
        lambda: len(pbx_trace.messages("in", "OPTIONS", 200)) > before, "the PBX has its answer"
    )
    asked = pbx_trace.messages("out", "OPTIONS")[-1]
    assert f"sip:{connection}@" in asked.text.splitlines()[0]
    assert not scene.pushes(bob), "a qualify woke the device"
    assert "Avail" in scene.stack.pbx.cli(f"pjsip show aor {BOB}")


async def test_r5_news_of_waiting_messages_is_accepted(scene: Scene) -> None:
    connection = await scene.extension()
    bob = await scene.asleep("phone")

    status = await notify(scene.stack, connection)

    assert status == 200
    assert not scene.pushes(bob), "news of a message woke the device"


async def notify(stack: Stack, connection: str) -> int:
    """Send an unasked NOTIFY of waiting messages from the PBX's address (RFC 3842); the status of the answer."""
    body = "Messages-Waiting: yes\r\nVoice-Message: 1/0 (0/0)\r\n"
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[int] = loop.create_future()

    class Pbx(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            message = parse(data)
            if not answer.done():
                answer.set_result(getattr(message, "code", 0))

    transport, _ = await loop.create_datagram_endpoint(Pbx, local_addr=(stack.address, 0))
    host, port = transport.get_extra_info("sockname")
    edge_host, edge_port = stack.sip_address()
    lines = [
        f"NOTIFY sip:{connection}@{edge_host}:{edge_port} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{secrets.token_hex(8)};rport",
        "Max-Forwards: 70",
        f"From: <sip:voicemail@{host}>;tag={secrets.token_hex(4)}",
        f"To: <sip:{connection}@{edge_host}>",
        f"Call-ID: {secrets.token_hex(8)}",
        "CSeq: 1 NOTIFY",
        f"Contact: <sip:{host}:{port}>",
        "Event: message-summary",
        "Subscription-State: terminated",
        "Content-Type: application/simple-message-summary",
        f"Content-Length: {len(body)}",
    ]
    try:
        transport.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), (edge_host, edge_port))
        return await asyncio.wait_for(answer, timeout=2.0)
    finally:
        transport.close()


async def test_r7_one_extension_with_three_devices_is_one_registration(scene: Scene) -> None:
    await scene.extension()
    handsets = [await scene.awake(name) for name in ("phone", "tablet", "desktop")]
    for handset in handsets:
        handset.phone.on_invite = Answer(answer_after=None)
    alice = await scene.caller()

    assert len(scene.stack.pbx.contacts(BOB)) == 1
    outgoing = await alice.call(BOB)
    phone, *others = [await handset.phone.incoming() for handset in handsets]
    phone.answer()

    await answered(outgoing, phone)
    assert [(await other.ended()).cause for other in others] == ["cancelled", "cancelled"]
    await hang_up(outgoing, phone)
