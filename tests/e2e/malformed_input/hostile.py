"""What is thrown at Kamailio: requests, garbage and WebSocket frames, each wrong in a way of its own."""

from __future__ import annotations

import random

from tests.e2e.raw_sip import STRANGER, frame, request

REGISTRAR = "sip:nightbell.test"
SOMEBODY = (STRANGER, 5060)


def register(*lines: str | bytes, uri: str = REGISTRAR) -> bytes:
    """A REGISTER with these headers in place of the right ones."""
    return request("REGISTER", uri, *lines, source=SOMEBODY)


def cut(data: bytes, part: float) -> bytes:
    """The beginning of a message."""
    return data[: int(len(data) * part)]


# What can be told from it to whom an answer goes: it gets one.
ANSWERED = {
    "no contact": register("Contact:"),
    "a contact of brackets": register("Contact: <<<>>><"),
    "a contact that never ends": register('Contact: "Bob <sip:bob@127.0.7.13'),
    "a star with an expiry": register("Contact: *", "Expires: 100"),
    "a negative expiry": register("Expires: -1"),
    "an expiry of letters": register("Expires: soon"),
    "an expiry beyond all numbers": register("Expires: " + "9" * 40),
    "no hops left": register("Max-Forwards: 0"),
    "hops of letters": register("Max-Forwards: many"),
    "a sequence of another method": register("CSeq: 1 INVITE"),
    "a sequence of letters": register("CSeq: first REGISTER"),
    "a sequence beyond all numbers": register("CSeq: 99999999999999999999 REGISTER"),
    "a scheme of its own": register(uri="banana:nightbell.test"),
    "no scheme": register(uri="nightbell.test"),
    "a subject that is not UTF-8": register(b"Subject: \xff\xfe\x80"),
    "a user agent that is not UTF-8": register(b"User-Agent: \xc3\x28"),
    "a name that is not UTF-8": register(b'From: "\xff\xfe" <sip:stranger@nightbell.test>;tag=1'),
    "a user that is not UTF-8": register(b"To: <sip:\xff\xfe@nightbell.test>"),
    "a Call-ID that is not UTF-8": register(b"Call-ID: \xff\xfe\xfd"),
    "a contact that is not UTF-8": register(b"Contact: <sip:\xff@127.0.7.13;pn-prid=\xfe>"),
    "a credential that is not UTF-8": register(b'Authorization: Digest username="\xff", realm="\xfe"'),
    "a credential that never ends": register('Authorization: Digest username="bob'),
    "a credential of commas": register("Authorization: Digest " + "," * 500),
    "a credential of another kind": register("Authorization: Basic Ym9iOmJvYg=="),
    "a user name of 8 KB": register(f'Authorization: Digest username="{"u" * 8000}", realm="x", nonce="y"'),
    "a header of 30 KB": register("X-Long: " + "x" * 30_000),
    "a header of 60 KB": register("X-Long: " + "x" * 60_000),
    "a contact of 30 KB": register(f"Contact: <sip:bob@127.0.7.13;pn-prid={'t' * 30_000}>"),
    "a thousand headers": register(*(f"X-{n}: {n}" for n in range(1000))),
    "two hundred Vias": register(
        *(f"Via: SIP/2.0/UDP 127.0.7.13:5060;branch=z9hG4bK{n}" for n in range(200))
    ),
    "folded without end": register("Subject: a" + "\r\n b" * 2000),
}

# Nobody can tell who would wait for an answer, or what was meant: silence is right, too.
DROPPED = {
    "nothing": b"",
    "one byte": b"\0",
    "a keep-alive": b"\r\n\r\n",
    "zeros": bytes(1000),
    "bytes": random.Random(7).randbytes(1400),
    "letters": b"A" * 65_000,
    "lines": b"\r\n" * 20_000,
    "HTTP": b"GET / HTTP/1.1\r\nHost: nightbell.test\r\n\r\n",
    "an HTTP answer": b"HTTP/1.1 200 OK\r\n" + register().partition(b"\r\n")[2],
    "an HTTP answer to nobody": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no version": register().replace(b" SIP/2.0\r\n", b"\r\n", 1),
    "another version": register().replace(b"SIP/2.0\r\n", b"SIP/9.9\r\n", 1),
    "no Via": register("Via:"),
    "a Via that is none": register("Via: hello"),
    "no From": register("From:"),
    "no To": register("To:"),
    "no Call-ID": register("Call-ID:"),
    "no CSeq": register("CSeq:"),
    "only a request line": b"REGISTER sip:nightbell.test SIP/2.0\r\n\r\n",
    "a header without a colon": register().replace(b"\r\nTo: ", b"\r\nTo ", 1),
    "a name without end": register('From: "Bob <sip:bob@nightbell.test>;tag=1'),
    "half a message": cut(register(), 0.5),
    "a request line of 60 KB": register(uri="sip:" + "u" * 60_000 + "@nightbell.test"),
    "a body that is not there": register("Content-Length: 60000"),
    "a body beyond all numbers": register("Content-Length: 99999999999999999999"),
    "a body of less than nothing": register("Content-Length: -1"),
    "a body of letters": register("Content-Length: none"),
    "an answer to nothing": b"SIP/2.0 200 OK\r\n" + register().partition(b"\r\n")[2],
    "an answer of 30 KB": b"SIP/2.0 200 " + b"K" * 30_000 + b"\r\n" + register().partition(b"\r\n")[2],
    "a cancel of nothing": request("CANCEL", REGISTRAR, source=SOMEBODY),
    "an acknowledgement of nothing": request("ACK", REGISTRAR, source=SOMEBODY),
    "an acknowledgement that is not UTF-8": request(
        "ACK", REGISTRAR, b"To: <sip:\xff@x>;tag=\xfe", source=SOMEBODY
    ),
    "an answer to a registration of ours": b"SIP/2.0 401 \xff\r\n"
    + register("Call-ID: nb-c1-\u00e9", b"WWW-Authenticate: Digest \xff").partition(b"\r\n")[2],
}

# Frames after the handshake, each of them wrong in its own way.
FRAMES = {
    "garbage": random.Random(8).randbytes(2000),
    "an unmasked frame": frame(register(), masked=False),
    "a frame larger than the world": frame(b"", length=1 << 62),
    "a frame larger than the buffer": frame(b"x" * 100_000),
    "a reserved opcode": frame(b"x", opcode=11),
    "a close without a code": frame(b"", opcode=8),
    "a long ping": frame(b"x" * 5000, opcode=9),
    "text that is not UTF-8": frame(b"\xff\xfe\xfd"),
    "text that is no SIP": frame(b"hello"),
    "an empty frame": frame(b""),
    "a message that is not UTF-8": frame(register(b"Subject: \xff")),
    "half a frame": cut(frame(register()), 0.5),
}
