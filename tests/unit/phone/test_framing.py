"""Cutting a TCP stream into messages."""

from __future__ import annotations

from demo.phone.transport.framing import Framer

WITH_BODY = b"INFO sip:a SIP/2.0\r\nContent-Length:  4\r\n\r\nabcd"
COMPACT = b"INFO sip:a SIP/2.0\r\nl: 2\r\n\r\nxy"
WITHOUT = b"OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\n"


def test_messages_come_whole_however_the_bytes_arrive() -> None:
    stream = WITH_BODY + b"\r\n\r\n" + COMPACT + WITHOUT
    framer = Framer()
    found = [message for octet in stream for message in framer.feed(bytes([octet]))]
    assert found == [WITH_BODY, COMPACT, WITHOUT]


def test_several_messages_in_one_read() -> None:
    assert Framer().feed(COMPACT + WITH_BODY + WITHOUT[:10]) == [COMPACT, WITH_BODY]


def test_a_length_in_the_body_does_not_count() -> None:
    body = b"l: 999\r\n"
    message = b"INFO sip:a SIP/2.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    assert Framer().feed(message) == [message]
