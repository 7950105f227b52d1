"""What the receiver lets in, and what cannot stop it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from control.edge.errors import EventsSocketError
from control.edge.receiver import Receiver
from kemi.wire import CounterEvent, Event, HelloEvent

ADDRESS = "127.0.11.2"
KEY = "k3y"


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def receiver(events: list[Event]) -> AsyncIterator[Receiver]:
    def handle(event: Event) -> None:
        if isinstance(event, CounterEvent):
            raise RuntimeError("no such counter")
        events.append(event)

    receiver = Receiver(ADDRESS, 0, KEY, handle)
    receiver.start()
    yield receiver
    receiver.close()


@pytest.fixture
def send(receiver: Receiver) -> Iterator[Callable[[bytes], None]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((ADDRESS, receiver.port))
        yield sock.sendall


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not condition():  # noqa: ASYNC110  what is awaited lives in many places
            await asyncio.sleep(0.001)


HELLO = HelloEvent(ts=1.0, pid=7)


async def test_an_event_with_the_key_is_handed_on(
    receiver: Receiver, send: Callable[[bytes], None], events: list[Event]
) -> None:
    send(f"{KEY} {HELLO.encode()}".encode())
    await until(lambda: events == [HELLO])


@pytest.mark.parametrize(
    ("datagram", "counter"),
    [
        (b"", "wrong-key"),
        (b"\xff\xfe\x00", "wrong-key"),
        (f"other {HELLO.encode()}".encode(), "wrong-key"),
        (HELLO.encode().encode(), "wrong-key"),
        (b"k3y ", "malformed"),
        (b"k3y \xff\xfe", "malformed"),
        (b"k3y []", "malformed"),
        (b'k3y {"v":99,"type":"hello","ts":1,"pid":1}', "malformed"),
        (b"k3y " + b"[" * 50_000, "malformed"),
        (b"k3y " + CounterEvent(ts=1.0, name="x").encode().encode(), "handler-error"),
    ],
)
async def test_whatever_else_arrives_is_counted_and_stops_nothing(
    receiver: Receiver,
    send: Callable[[bytes], None],
    events: list[Event],
    datagram: bytes,
    counter: str,
) -> None:
    send(datagram)
    send(f"{KEY} {HELLO.encode()}".encode())
    await until(lambda: events == [HELLO])
    assert receiver.counters[counter] == 1


async def test_a_port_that_is_taken_is_named(receiver: Receiver) -> None:
    with pytest.raises(EventsSocketError, match=f"{ADDRESS}:{receiver.port}"):
        Receiver(ADDRESS, receiver.port, KEY, lambda event: None)
