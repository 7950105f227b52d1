"""A stranger sends to the media ports of a call: the call goes on, nobody hears him, and he hears nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sipmessage import Request

from demo.phone import Answer, IncomingCall, OutgoingCall, Phone
from demo.phone.call import Call
from demo.phone.core import Core
from demo.phone.rtp import Audio
from demo.phone.server_transaction import ServerTransaction
from tests.e2e.media_attacks.attacker import TONE, Attacker, client_hello, media_ports, speech
from tests.e2e.relay import nothing_relayed, told_of_calls
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up
from tests.fixtures.sdes import SdesPhone
from tests.fixtures.webrtc import WebRtcPhone

RINGS = Answer(answer_after=None)
KINDS: dict[str, tuple[type[Phone], str]] = {
    "plain": (Phone, "udp"),
    "sdes": (SdesPhone, "tls"),
    "webrtc": (WebRtcPhone, "wss"),
}


class _BehindNat(Call):
    def _describe(self, direction: str, payloads: tuple[int, ...]) -> bytes:
        return super()._describe(direction, payloads).replace(b" 127.0.0.1", b" 192.0.2.7")


class BehindNat(Phone):
    """A phone that describes itself by an address that means nothing here."""

    async def _outgoing_call(
        self, core: Core, uri: str, headers: tuple[tuple[str, str], ...]
    ) -> OutgoingCall:
        kind = type("BehindNatOutgoing", (_BehindNat, OutgoingCall), {})
        call: OutgoingCall = kind(core, Audio(self.local), uri, headers)
        return call

    def _incoming_call(self, core: Core, request: Request, transaction: ServerTransaction) -> IncomingCall:
        kind = type("BehindNatIncoming", (_BehindNat, IncomingCall), {})
        call: IncomingCall = kind(core, Audio(self.local), request, transaction)
        return call


def every_port(scene: Scene, packet: Callable[[], bytes] | None = None) -> Attacker:
    """One who sends to all ports of RTP's that are open: those of this stack, for others may be at work beside it."""
    relay = scene.stack.settings.rtpengine[0]

    def ports() -> list[int]:
        medias = [
            media
            for call in told_of_calls(relay)
            for tag in call.get("tags", {}).values()
            for media in tag["medias"]
        ]
        return [stream["local port"] for media in medias for stream in media["streams"]]

    return Attacker(scene.stack.address, ports, packet or speech())


async def test_cve_2023_51275_a_foreign_client_hello_before_the_devices_own(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=WebRtcPhone), await scene.caller()
    bob.phone.on_invite = RINGS
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    hello = client_hello()
    async with Attacker(scene.stack.address, lambda: media_ports(incoming.request.body), lambda: hello):
        await incoming.ringing()
        incoming.answer()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_cve_2023_51275_a_foreign_client_hello_when_the_device_calls(scene: Scene) -> None:
    """He does not know the port, and tries them all."""
    await scene.extension()
    bob, alice = await scene.awake("browser", transport="wss", kind=WebRtcPhone), await scene.caller()
    alice.on_invite = RINGS
    hello = client_hello()
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    async with every_port(scene, lambda: hello):
        incoming.answer()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


@pytest.mark.parametrize("moment", ["before the answer", "during the call"])
@pytest.mark.parametrize("kind", KINDS)
async def test_foreign_rtp(scene: Scene, kind: str, moment: str) -> None:
    await scene.extension()
    phone, transport = KINDS[kind]
    bob = await scene.awake("phone", transport=transport, kind=phone)
    alice = await scene.caller()
    bob.phone.on_invite = RINGS
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await incoming.ringing()
    attack = every_port(scene)
    if moment == "before the answer":
        async with attack:
            incoming.answer()
            await answered(outgoing, incoming)
            await assert_nobody_minds(outgoing, incoming, attack)
    else:
        incoming.answer()
        await answered(outgoing, incoming)
        await assert_they_hear_each_other(outgoing, incoming)
        async with attack:
            await assert_nobody_minds(outgoing, incoming, attack)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def test_foreign_rtp_once_it_is_learned_where_a_device_behind_nat_is(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone", kind=BehindNat), await scene.caller()
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    relay = scene.stack.settings.rtpengine[0]

    def learned() -> bool:
        (call,) = told_of_calls(relay)
        tags = call["tags"]
        streams = [media["streams"][0] for tag in tags.values() for media in tag["medias"]]
        return all("confirmed" in stream["flags"] for stream in streams)

    await scene.stack.eventually(learned, "rtpengine has learned where both are")
    async with every_port(scene) as attack:
        await assert_nobody_minds(outgoing, incoming, attack)
    await hang_up(outgoing, incoming)
    await nothing_relayed(scene.stack)


async def assert_nobody_minds(outgoing: Call, incoming: Call, attack: Attacker) -> None:
    """They hear each other and nobody else, and nobody else hears them."""
    await assert_they_hear_each_other(outgoing, incoming)
    assert not await outgoing.audio.heard(TONE, 0.5), "the caller hears the attacker"
    assert not await incoming.audio.heard(TONE, 0.5), "the callee hears the attacker"
    await assert_they_hear_each_other(outgoing, incoming)
    assert attack.rtp_packets == 0, "the attacker hears somebody"
