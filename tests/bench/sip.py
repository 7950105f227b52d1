"""SIP text for load: bytes in, bytes out, no more understanding than the load needs."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass
from uuid import UUID

from tests.bench.population import DOMAIN, Phone

Address = tuple[str, int]

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
_BUFFER = 8 << 20  # bytes


def udp(address: str, port: int = 0) -> socket.socket:
    """A UDP socket with room for a burst, never waiting."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option, forced in ((socket.SO_RCVBUF, 33), (socket.SO_SNDBUF, 32)):
        link.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        try:
            link.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)  # SO_RCVBUFFORCE, SO_SNDBUFFORCE: root only
        except PermissionError:
            continue
    link.bind((address, port))
    link.setblocking(False)
    return link


# ------------------------------------------------------------------------------------------------ reading


def value(message: bytes, name: bytes) -> bytes:
    """Body of the first header of that name (``b"Call-ID"``), empty when absent."""
    start = message.find(b"\r\n" + name + b": ")
    if start < 0:
        return b""
    start += len(name) + 4
    return message[start : message.find(b"\r\n", start)]


def branch(message: bytes) -> bytes:
    """The branch of the topmost Via."""
    via = value(message, b"Via")
    return via.partition(b"branch=")[2].partition(b";")[0]


def status(message: bytes) -> int:
    """The status of a reply, 0 for a request."""
    return int(message[8:11]) if message.startswith(b"SIP/2.0 ") else 0


def target(message: bytes) -> bytes:
    """The URI in the Contact header."""
    return value(message, b"Contact").partition(b"<")[2].partition(b">")[0]


def route_set(message: bytes) -> bytes:
    """The Route headers a caller sends after a 2xx: its Record-Routes, last first (RFC 3261, 12.1.2)."""
    head = message.partition(b"\r\n\r\n")[0].split(b"\r\n")
    routes = [line.partition(b": ")[2] for line in head if line.startswith(b"Record-Route")]
    return b"".join(b"Route: %s\r\n" % route for route in reversed(routes))


# ----------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True)
class Credential:
    """A nonce to be used many times: it is obtained once and lives five minutes."""

    nonce: bytes

    def line(self, phone: Phone, count: int) -> bytes:
        """The Authorization header of a REGISTER (RFC 7616 with MD5, qop=auth); ``count`` is nc."""
        nc, cnonce = b"%08x" % count, b"%08x" % phone.number
        response = _md5(b":".join((phone.ha1.encode(), self.nonce, nc, cnonce, b"auth", _HA2)))
        return (
            b'Authorization: Digest username="%s", realm="%s", nonce="%s", uri="sip:%s", response="%s",'
            b' algorithm=MD5, qop=auth, nc=%s, cnonce="%s"\r\n'
            % (phone.id.encode(), DOMAIN.encode(), self.nonce, DOMAIN.encode(), response, nc, cnonce)
        )


def _md5(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


_HA2 = _md5(b"REGISTER:sip:" + DOMAIN.encode())


def contact(phone: Phone, at: Address) -> bytes:
    """What a sleeping phone says of itself when it registers, push parameters included (RFC 8599)."""
    return (
        b"<sip:%s@%s:%d;pn-provider=apns;pn-param=ABCDE12345.org.example.phone.voip;pn-prid=%064x>"
        b';+sip.instance="<urn:uuid:%s>"'
        % (phone.id.encode(), at[0].encode(), at[1], phone.number, str(UUID(int=phone.number)).encode())
    )


def register(
    phone: Phone, at: Address, credential: Credential | None, count: int, expires: int = 600
) -> bytes:
    """A REGISTER; ``count`` makes it another transaction and is its CSeq and nc."""
    name = phone.id.encode()
    return (
        b"REGISTER sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s:%d;rport;branch=z9hG4bKr%s%x\r\nMax-Forwards: 70\r\n"
        b"From: <sip:%s@%s>;tag=r%x\r\nTo: <sip:%s@%s>\r\nCall-ID: r-%s\r\nCSeq: %d REGISTER\r\n%s"
        b"Contact: %s\r\nExpires: %d\r\nUser-Agent: Bench/1.0 (load)\r\nContent-Length: 0\r\n\r\n"
        % (
            *(DOMAIN.encode(), at[0].encode(), at[1], name, count),
            *(phone.user.encode(), DOMAIN.encode(), phone.number, phone.user.encode(), DOMAIN.encode()),
            *(name, count, credential.line(phone, count) if credential else b""),
            *(contact(phone, at), expires),
        )
    )


def invite(phone: Phone, at: Address, edge: Address, run: int, sdp: bytes = SDP) -> bytes:
    """An INVITE of the PBX to the phone's connection; ``run`` tells calls of different runs apart."""
    return (
        b"INVITE sip:%s@%s:%d SIP/2.0\r\n" % (phone.connection.encode(), edge[0].encode(), edge[1])
        + _call_headers(phone, at, run, b"INVITE", b"<sip:%s@pbx.test>" % phone.user.encode(), b"i")
        + b"Contact: <sip:pbx@%s:%d>\r\nUser-Agent: Bench PBX\r\nContent-Type: application/sdp\r\n"
        b"Content-Length: %d\r\n\r\n" % (at[0].encode(), at[1], len(sdp)) + sdp
    )


def in_dialog(method: bytes, reply: bytes, phone: Phone, at: Address, run: int) -> bytes:
    """An ACK or BYE along the dialog that this 2xx made."""
    return (
        b"%s %s SIP/2.0\r\n" % (method, target(reply))
        + _call_headers(phone, at, run, method, value(reply, b"To"), method[:1])
        + route_set(reply)
        + b"Content-Length: 0\r\n\r\n"
    )


def ack_refusal(reply: bytes, phone: Phone, at: Address, edge: Address, run: int) -> bytes:
    """The ACK of a final reply >= 300: same transaction as the INVITE (RFC 3261, 17.1.1.3)."""
    return (
        b"ACK sip:%s@%s:%d SIP/2.0\r\n" % (phone.connection.encode(), edge[0].encode(), edge[1])
        + _call_headers(phone, at, run, b"ACK", value(reply, b"To"), b"i")
        + b"Content-Length: 0\r\n\r\n"
    )


def cancel(phone: Phone, at: Address, edge: Address, run: int) -> bytes:
    """The CANCEL of an INVITE: same transaction (RFC 3261, 9.1)."""
    return (
        b"CANCEL sip:%s@%s:%d SIP/2.0\r\n" % (phone.connection.encode(), edge[0].encode(), edge[1])
        + _call_headers(phone, at, run, b"CANCEL", b"<sip:%s@pbx.test>" % phone.user.encode(), b"i")
        + b"Content-Length: 0\r\n\r\n"
    )


def _call_headers(phone: Phone, at: Address, run: int, method: bytes, to: bytes, mark: bytes) -> bytes:
    cseq = 2 if method == b"BYE" else 1
    return (
        b"Via: SIP/2.0/UDP %s:%d;rport;branch=z9hG4bK%s%d-%d\r\nMax-Forwards: 70\r\n"
        b'From: "Alice" <sip:1001@pbx.test>;tag=p%d\r\nTo: %s\r\nCall-ID: call-%d-%d\r\nCSeq: %d %s\r\n'
        % (at[0].encode(), at[1], mark, run, phone.number, phone.number, to, run, phone.number, cseq, method)
    )


# ------------------------------------------------------------------------------------------------ replies


def answer(request: bytes, line: bytes, at: Address | None = None, sdp: bytes = b"") -> bytes:
    """A device's reply: ``at`` adds its Contact, ``sdp`` a body."""
    kept: list[bytes] = []
    for header in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name = header.partition(b":")[0]
        if name in (b"Via", b"From", b"Call-ID", b"CSeq", b"Record-Route"):
            kept.append(header)
        elif name == b"To":
            kept.append(header if b";tag=" in header else header + b";tag=d")
    if at is not None:
        user = request.partition(b"sip:")[2].partition(b"@")[0]
        kept.append(b"Contact: <sip:%s@%s:%d>" % (user, at[0].encode(), at[1]))
    if sdp:
        kept.append(b"Content-Type: application/sdp")
    return b"SIP/2.0 %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s" % (line, b"\r\n".join(kept), len(sdp), sdp)
