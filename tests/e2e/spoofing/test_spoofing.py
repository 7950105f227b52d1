"""Strangers who pretend: to be the PBX, to be part of a call, or to be us. None of it reaches a device or a third party."""

from __future__ import annotations

import re
import time

import pytest

from demo.phone import Call, IncomingCall, OutgoingCall
from tests.e2e.in_dialog import send_in_dialog
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.raw_sip import STRANGER, UdpSocket, request
from tests.e2e.scene import BOB, Handset, Scene, answered, assert_they_hear_each_other, hang_up
from tests.e2e.scripted_pbx import ScriptedPbx


def edge(scene: Scene) -> str:
    """Nightbell's address in a URI."""
    host, port = scene.stack.sip_address()
    return f"{host}:{port}"


async def strangers_socket(scene: Scene) -> UdpSocket:
    """A socket at an address that is no PBX's."""
    return await UdpSocket(scene.stack.sip_address()).open(STRANGER)


async def test_s8_a_call_from_an_address_that_is_not_the_pbxs(scene: Scene) -> None:
    connection = await scene.extension()
    bob = await scene.awake("phone")
    tablet = await scene.asleep("tablet")
    async with await strangers_socket(scene) as stranger:
        for user in (connection, BOB, "bob", bob.id, "park"):
            uri = f"sip:{user}@{edge(scene)}"
            status = await stranger.ask(request("INVITE", uri, f"To: <{uri}>", source=stranger.source))
            assert status == 407, f"an INVITE to {user} was answered {status}"

    assert not bob.phone.invites
    assert not scene.pushes(tablet), "a stranger can wake devices"


async def test_s8_a_stranger_learns_nothing_of_which_connections_there_are(scene: Scene) -> None:
    connection = await scene.extension()
    async with await strangers_socket(scene) as stranger:
        for method in ("INVITE", "OPTIONS", "NOTIFY", "MESSAGE", "REGISTER"):
            known, unknown = [
                await stranger.answer_to(request(method, f"sip:{user}@{edge(scene)}", source=stranger.source))
                for user in (connection, "c0000000000000000")
            ]
            assert shape_of(known) == shape_of(unknown), f"{method} tells"


def shape_of(answer: bytes) -> bytes:
    """An answer without what differs each time: tags, branches, nonces."""
    return re.sub(rb'(tag=|branch=|nonce="|Call-ID: |To: |rport=)[^;"\r]*', rb"\1", answer)


async def test_s8_a_pbx_knows_only_its_own_connections(scene: Scene) -> None:
    """Somebody else's PBX, at another address, calls the contact user of Bob's connection."""
    connection = await scene.extension()
    bob = await scene.awake("phone")
    async with ScriptedPbx(lambda request: (200, [])) as other:
        await other.start(STRANGER)
        await scene.stack.add_connection("1003", "carol", host=STRANGER, port=other.port, register=False)
        async with await strangers_socket(scene) as theirs:
            uri = f"sip:{connection}@{edge(scene)}"
            assert await theirs.ask(request("INVITE", uri, source=theirs.source)) == 407

    assert not bob.phone.invites


async def in_a_call(scene: Scene) -> tuple[Handset, IncomingCall, OutgoingCall]:
    """Alice and Bob talk; Bob's side first."""
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    return bob, incoming, outgoing


def marked(call: Call) -> str:
    """The Route of Nightbell's own making that a call's device was given."""
    assert call.dialog is not None
    return call.dialog.routes[0]


@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "NOTIFY", "REFER", "UPDATE"])
async def test_s8_a_request_with_a_route_that_is_not_of_our_making_goes_nowhere(
    scene: Scene, method: str
) -> None:
    _, incoming, outgoing = await in_a_call(scene)
    async with ScriptedPbx(lambda request: (200, [])) as victim, await strangers_socket(scene) as stranger:
        await victim.start(STRANGER)
        target = f"sip:victim@{STRANGER}:{victim.port}"
        seal = re.sub(r"nb=[^;>]*", "nb=0123456789abcdef.00000000.i.r.0123456789abcdef", marked(incoming))
        for routes in (
            [],
            [f"Route: <sip:{edge(scene)};lr>"],
            [f"Route: <sip:{edge(scene)};lr>, <{target};lr>"],
            [f"Route: {seal}"],
            [f"Route: {marked(incoming)}"],  # of another call than this one claims to be
            [f"Route: <{target};lr>"],
        ):
            data = request(method, target, "To: <sip:x@y>;tag=1", *routes, source=stranger.source)
            assert await stranger.ask(data) == 481

        assert not victim.requests, "Nightbell carries strangers' requests to third parties"
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def test_s8_a_device_cannot_change_the_route_of_its_own_call(scene: Scene) -> None:
    bob, incoming, outgoing = await in_a_call(scene)

    for routes in ([], [re.sub(r"nb=[0-9a-f]{4}", "nb=0000", marked(incoming))], [f"<sip:{edge(scene)};lr>"]):
        refused = await send_in_dialog(bob.phone, incoming, "BYE", routes=routes)
        assert refused.status == 481

    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def test_s8_a_device_cannot_send_its_call_round_by_third_parties(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    async with ScriptedPbx(lambda request: (200, [])) as victim:
        await victim.start(STRANGER)
        route = f"<sip:{edge(scene)};lr>, <sip:{STRANGER}:{victim.port};lr>"

        call = await bob.phone.call("600", headers=(("Route", route),))
        await call.answered()
        await call.hangup()

        assert not victim.requests
    await pbx_trace.wait_for("in", "BYE")
    assert not [m.text for m in pbx_trace.messages("in", "INVITE") if m.header("Route")]


async def test_w4_the_park_socket_takes_no_calls_of_others(scene: Scene) -> None:
    await scene.extension()
    tablet = await scene.asleep("tablet")
    wake = (
        '{"call":"0123456789abcdef","connection":"x","aor":"sip:bob@nightbell.test",'
        f'"asleep":["{tablet.id}"],"ringing":[],"deadline":{time.time() + 2},"caller":"1","caller_name":""}}'
    )
    host, port = scene.stack.settings.edge.address, scene.stack.settings.edge.park_port
    async with await UdpSocket((host, port)).open(STRANGER) as stranger:
        for lines in ((), (f"X-Nightbell-Wake: {wake}",), ("X-Nightbell-Wake: {",)):
            uri = f"sip:park@{host}:{port}"
            status = await stranger.ask(request("INVITE", uri, *lines, source=stranger.source), within=3.0)
            assert status >= 400

    assert not scene.pushes(tablet), "anybody on this machine can wake devices"
