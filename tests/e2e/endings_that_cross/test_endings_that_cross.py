"""Calls whose ends come in another order than one would think of: nothing of them is left, whatever crosses what."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sipmessage import Response

from demo.phone import Answer, IncomingCall, Phone
from demo.phone.message import parse, split_list, uri_of
from tests.e2e.link import UdpLink
from tests.e2e.raw_sip import UdpSocket, request
from tests.e2e.relay import nothing_relayed, relayed_calls
from tests.e2e.scene import BOB, Scene

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
    b"a=rtpmap:0 PCMU/8000\r\n"
)
AT_ONCE = Answer(answer_after=0)


class RawPbx:
    """A PBX whose every datagram is the test's."""

    def __init__(self, scene: Scene, socket: UdpSocket) -> None:
        self._scene, self._socket = scene, socket
        self.answer = Response(100, "not yet")

    async def call(self) -> None:
        """Call Bob, and have his answer."""
        host, port = self._scene.stack.sip_address()
        uri = f"sip:{self._scene.connection}@{host}:{port}"
        invite = request(
            "INVITE",
            uri,
            f"To: <{uri}>",
            "Content-Type: application/sdp",
            f"Content-Length: {len(SDP)}",
            source=self._socket.source,
            body=SDP,
        )
        answer = parse(await self._socket.answer_to(invite, within=5.0))
        assert isinstance(answer, Response)
        assert answer.code == 200
        self.answer = answer

    def send(self, *methods: str) -> None:
        """Send requests within the call, one behind the other."""
        for method in methods:
            self._socket.send(self._within(method))

    def _within(self, method: str) -> bytes:
        headers = self.answer.headers
        routes = reversed(split_list(headers.getlist("Record-Route")))
        return request(
            method,
            uri_of(headers["Contact"]),
            *(f"Route: {route}" for route in routes),
            *(f"{name}: {headers[name]}" for name in ("From", "To", "Call-ID")),
            f"CSeq: {1 if method == 'ACK' else 2} {method}",
            source=self._socket.source,
        )


@pytest.fixture
async def pbx(scene: Scene) -> AsyncIterator[RawPbx]:
    stack = scene.stack
    async with await UdpSocket(stack.sip_address()).open(stack.address) as socket:
        scene.connection = await stack.add_connection(BOB, "bob", port=socket.source[1], register=False)
        yield RawPbx(scene, socket)


@pytest.fixture
async def link(scene: Scene) -> AsyncIterator[UdpLink]:
    async with UdpLink(scene.stack.sip_address(), scene.stack.address) as link:
        yield link


def dialogs(scene: Scene) -> int:
    """How many calls Kamailio keeps state of."""
    return int(scene.stack.rpc("dlg.stats_active")["all"])


async def nothing_left(scene: Scene) -> None:
    """Neither a dialog in Kamailio nor a call in rtpengine."""
    await nothing_relayed(scene.stack, within=6.0)
    await scene.stack.eventually(lambda: not dialogs(scene), "every dialog is over")


async def answered(scene: Scene, pbx: RawPbx, link: UdpLink) -> tuple[Phone, IncomingCall]:
    """A call that Bob has answered, and the PBX has not acknowledged."""
    bob = await scene.awake("phone", server=link.address, push=False)
    bob.phone.on_invite = AT_ONCE
    await pbx.call()
    assert len(relayed_calls(scene.stack)) == dialogs(scene) == 1
    return bob.phone, await bob.phone.incoming()


def answers(phone: Phone) -> int:
    """How often a phone has said that it takes a call."""
    return len([m for m in phone.messages if (m.direction, m.method, m.status) == ("out", "INVITE", 200)])


@pytest.mark.parametrize(
    "burst",
    [("ACK", "BYE"), ("BYE", "ACK"), ("BYE",), ("ACK", "BYE", "BYE"), ("ACK", "ACK", "BYE", "ACK")],
    ids=" ".join,
)
async def test_the_pbx_ends_the_call_as_it_begins(
    scene: Scene, pbx: RawPbx, link: UdpLink, burst: tuple[str, ...]
) -> None:
    _, incoming = await answered(scene, pbx, link)
    pbx.send(*burst)
    assert (await incoming.ended()).cause == "bye"
    await nothing_left(scene)


async def test_both_sides_end_it_at_once(scene: Scene, pbx: RawPbx, link: UdpLink) -> None:
    _, incoming = await answered(scene, pbx, link)
    pbx.send("ACK")
    await incoming.answered()
    pbx.send("BYE")
    await incoming.hangup()
    await nothing_left(scene)


async def test_a_phone_that_does_not_hear_the_bye_goes_on_answering(
    scene: Scene, pbx: RawPbx, link: UdpLink
) -> None:
    """Kamailio finds that critical and says so in its log; it harms nobody."""
    phone, incoming = await answered(scene, pbx, link)
    link.deaf = True
    pbx.send("BYE")
    heard = answers(phone)
    await phone.until(lambda: answers(phone) > heard, what="it repeats its answer")
    link.deaf = False
    assert (await incoming.ended()).cause == "bye"
    await nothing_left(scene)
