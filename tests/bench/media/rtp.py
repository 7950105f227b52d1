"""RTP for load: two sockets that play the ends of all calls, and a process that sends as many streams as there are calls."""

from __future__ import annotations

import multiprocessing
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from demo.phone.g711 import CODECS
from demo.phone.sdp import PCMA
from demo.phone.tone import one_second
from tests.bench.edge import BenchError
from tests.bench.sip import Address

PACKET_S = 0.02
SAMPLES = 160  # of G.711 in a packet
_HEADER = struct.Struct("!BBHII")
_TONE = CODECS[PCMA].encode(one_second(440))
PCMA_PAYLOADS = tuple(_TONE[i : i + SAMPLES] for i in range(0, len(_TONE) - SAMPLES + 1, SAMPLES))


@dataclass(frozen=True)
class Stream:
    """What one end of one call sends, and where; ``step`` is how far a packet moves the RTP clock."""

    to: Address
    payload_type: int
    payloads: Sequence[bytes]
    step: int = SAMPLES


Load = Sequence[tuple[socket.socket, Sequence[Stream]]]  # from each socket, its streams


def record(
    sender: socket.socket, stream: Stream, listener: socket.socket, payload_type: int, count: int = 50
) -> tuple[bytes, ...]:
    """What the relay makes of a stream: the payloads of that type that arrive at the listener. Raises BenchError."""
    found: list[bytes] = []
    for number in range(count * 3):
        sender.sendto(packet(stream, number, 1), stream.to)
        time.sleep(PACKET_S / 4)
        while True:
            try:
                heard = listener.recv(2048)
            except BlockingIOError:
                break
            if heard[1] & 0x7F == payload_type:
                found.append(heard[_HEADER.size :])
        if len(found) >= count:
            return tuple(found)
    raise BenchError(f"rtpengine made {len(found)} packets of type {payload_type} of {count * 3}")


class Sender:
    """A process that sends several loads at once. Close it."""

    def __init__(self, loads: Sequence[Load]) -> None:
        context = multiprocessing.get_context("fork")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, loads), daemon=True)
        self._process.start()

    def send(self, seconds: float) -> list[int]:
        """Send for so long; how many packets of each load. Raises BenchError when it did not keep up."""
        self._ours.send(seconds)
        if not self._ours.poll(seconds * 3 + 5):
            raise BenchError("the process that sends RTP does not answer")
        sent, late = self._ours.recv()
        if late > 0.2:
            raise BenchError(f"the machine is too busy to send RTP: {late:.2f} s late after {seconds:g} s")
        return list(sent)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join(5)
        self._ours.close()


def _serve(door: Connection, loads: Sequence[Load]) -> None:
    number = 0
    while True:
        seconds = door.recv()
        due, packets = time.monotonic(), int(seconds / PACKET_S)
        for _ in range(packets):
            number += 1
            # Neither is always the one that finds the machine at rest.
            for load in loads if number % 2 else reversed(loads):
                for link, streams in load:
                    for source, stream in enumerate(streams, 1):
                        link.sendto(packet(stream, number, source), stream.to)
            due += PACKET_S
            time.sleep(max(0.0, due - time.monotonic()))
        sent = [packets * sum(len(streams) for _, streams in load) for load in loads]
        door.send((sent, time.monotonic() - due))


def packet(stream: Stream, number: int, source: int) -> bytes:
    """One packet of a stream; ``source`` is its SSRC."""
    header = _HEADER.pack(
        0x80, stream.payload_type, number & 0xFFFF, (number * stream.step) & 0xFFFF_FFFF, source
    )
    return header + stream.payloads[number % len(stream.payloads)]
