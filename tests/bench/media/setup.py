"""How soon a device that calls hears something: its INVITE leaves -> the first packet of audio arrives, through everything."""

from __future__ import annotations

import hashlib
import select
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path

from tests.bench import sip
from tests.bench.calls import Bench
from tests.bench.edge import BenchError, Edge
from tests.bench.figures import Figure, percentile
from tests.bench.media import describe, rtp, sides
from tests.bench.pair import PBX, PHONES
from tests.bench.population import DOMAIN, Phone, phones
from tests.bench.progress import Progress
from tests.bench.sip import Address, Credential

_ADDRESS = "127.0.41.1"
_PBX_AUDIO, _DEVICE_AUDIO = "127.0.45.1", "127.0.46.1"
_CALLS = 300
_WITHIN = 2.0  # s
_PBX_PORT = 5060  # where the connections of the measured people lead
_NUMBER = b"600"


def measure(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """`media.setup_ms_p95`: digest, the way through the PBX that answers at once, the relay, and back."""
    count = max(20, int(_CALLS * scale))
    progress.title(f"media: {count} calls out, one after the other, until audio is there")
    people = phones(1)
    with ExitStack() as stack:
        edge = Edge("kemi", home, _ADDRESS, native=False, repository=repository)
        relay = sides.relay_of(edge.settings)
        stack.callback(relay.stop)
        relay.start()
        bench = stack.enter_context(closing(Bench(edge, PHONES, PBX)))
        pbx = stack.enter_context(closing(sip.udp(PBX, _PBX_PORT)))
        stack.callback(edge.stop)
        edge.start(people, PBX, 20.0, relayed=())
        bench.register(people, bench.credential(people[0]))
        audio = [stack.enter_context(closing(sip.udp(a))) for a in (_PBX_AUDIO, _DEVICE_AUDIO)]
        caller = _Caller(bench, people[0], pbx, audio[0], audio[1])
        edge.measure_idle()
        times = [caller.call(number) for number in range(1, count + 1)]
        edge.check()
    times = times[count // 10 :]  # the first ones warm up
    return [
        Figure("media.setup_ms_p50", round(percentile(times, 50), 3), "ms"),
        Figure("media.setup_ms_p95", round(percentile(times, 95), 3), "ms"),
    ]


class _Caller:
    """The device, and the PBX that answers it."""

    def __init__(
        self, bench: Bench, phone: Phone, pbx: socket.socket, from_pbx: socket.socket, ear: socket.socket
    ) -> None:
        self._phone, self._edge = phone, bench.edge.sip
        self._device, self._pbx, self._from_pbx, self._ear = bench.phone_link, pbx, from_pbx, ear
        self._credential = bench.credential(phone)

    def call(self, number: int) -> float:
        """One call; milliseconds until the device has its first packet. Raises BenchError."""
        _empty(self._device, self._pbx, self._ear)
        at = self._device.getsockname()
        began = time.perf_counter()
        self._device.sendto(
            _invite(self._phone, at, self._edge, self._credential, number, self._ear.getsockname()),
            self._edge,
        )
        invite = self._at_the_pbx()
        place = describe.place(invite.partition(b"\r\n\r\n")[2])
        answer = sip.answer(
            invite, b"200 OK", self._pbx.getsockname(), describe.pcma(self._from_pbx.getsockname())
        )
        self._pbx.sendto(answer, self._edge)
        stream = rtp.Stream(place, describe.PCMA_TYPE, rtp.PCMA_PAYLOADS)
        heard = self._play(stream, number)
        done = sides.receive(self._device, lambda m: sip.status(m) >= 200)
        if sip.status(done) != 200:
            raise BenchError(f"a call out was answered with {done.splitlines()[0]!r}")
        self._device.sendto(_in_dialog(b"ACK", done, self._phone, at, number), self._edge)
        sides.receive(self._pbx, lambda m: m.startswith(b"ACK "))
        self._device.sendto(_in_dialog(b"BYE", done, self._phone, at, number), self._edge)
        bye = sides.receive(self._pbx, lambda m: m.startswith(b"BYE "))
        self._pbx.sendto(sip.answer(bye, b"200 OK"), self._edge)
        sides.receive(
            self._device, lambda m: sip.status(m) == 200
        )  # else it passes for the next call's answer
        return (heard - began) * 1000

    def _at_the_pbx(self) -> bytes:
        """The INVITE, when it has come through; BenchError with the answer when the device was refused."""
        while True:
            ready, _, _ = select.select([self._pbx, self._device], [], [], _WITHIN)
            for link in ready:
                message: bytes = link.recv(65535)
                if message.startswith(b"INVITE "):
                    return message
                if sip.status(message) >= 300:
                    raise BenchError(f"a call out was refused with {message.splitlines()[0]!r}")
            if not ready:
                raise BenchError(f"a call out did not reach the PBX within {_WITHIN:g} s")

    def _play(self, stream: rtp.Stream, source: int) -> float:
        """Send audio each 20 ms until some of it arrives; when it did."""
        for number in range(int(_WITHIN / rtp.PACKET_S)):
            self._from_pbx.sendto(rtp.packet(stream, number, source), stream.to)
            if select.select([self._ear], [], [], rtp.PACKET_S)[0]:
                return time.perf_counter()
        raise BenchError(f"no audio within {_WITHIN:g} s")


def _invite(
    phone: Phone, at: Address, edge: Address, credential: Credential, number: int, ear: Address
) -> bytes:
    uri = b"sip:%s@%s" % (_NUMBER, DOMAIN.encode())
    body = describe.pcma(ear)
    return (
        b"INVITE %s SIP/2.0\r\n" % uri
        + _headers(phone, at, number, b"INVITE", b"<%s>" % uri)
        + _authorization(phone, credential, number, uri)
        + b"Contact: <sip:%s@%s:%d>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n"
        % (phone.id.encode(), at[0].encode(), at[1], len(body))
        + body
    )


def _in_dialog(method: bytes, reply: bytes, phone: Phone, at: Address, number: int) -> bytes:
    return (
        b"%s %s SIP/2.0\r\n" % (method, sip.target(reply))
        + _headers(phone, at, number, method, sip.value(reply, b"To"))
        + sip.route_set(reply)
        + b"Content-Length: 0\r\n\r\n"
    )


def _headers(phone: Phone, at: Address, number: int, method: bytes, to: bytes) -> bytes:
    return (
        b"Via: SIP/2.0/UDP %s:%d;rport;branch=z9hG4bKo%s%d\r\nMax-Forwards: 70\r\n"
        b"From: <sip:%s@%s>;tag=o%d\r\nTo: %s\r\nCall-ID: out-%d\r\nCSeq: %d %s\r\n"
        % (
            *(at[0].encode(), at[1], method[:1], number, phone.user.encode(), DOMAIN.encode(), number),
            *(to, number, 2 if method == b"BYE" else 1, method),
        )
    )


def _authorization(phone: Phone, credential: Credential, count: int, uri: bytes) -> bytes:
    nc, cnonce = b"%08x" % count, b"%08x" % phone.number
    ha2 = _md5(b"INVITE:" + uri)
    response = _md5(b":".join((phone.ha1.encode(), credential.nonce, nc, cnonce, b"auth", ha2)))
    return (
        b'Proxy-Authorization: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s",'
        b' algorithm=MD5, qop=auth, nc=%s, cnonce="%s"\r\n'
        % (phone.id.encode(), DOMAIN.encode(), credential.nonce, uri, response, nc, cnonce)
    )


def _md5(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


def _empty(*links: socket.socket) -> None:
    for link in links:
        while select.select([link], [], [], 0)[0]:
            link.recv(65535)
