"""The audio of one call: RTP packets of 20 ms (RFC 3550), tones out, tones found in what comes in."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
from collections.abc import Sequence
from functools import cache

from demo.phone.changes import Changes
from demo.phone.errors import StillWaitingError, TransportError
from demo.phone.g711 import CODECS
from demo.phone.sdp import PCMA, PCMU
from demo.phone.tone import RATE, ToneDetector, is_audible, one_second

PACKET = 160  # samples
PERIOD = PACKET / RATE  # seconds
_HEADER = struct.Struct("!BBHII")


@cache
def _tone_octets(payload: int, frequency: int) -> bytes:
    return CODECS[payload].encode(one_second(frequency))


class Audio:
    """One RTP socket on ``local``. It sends silence until told a tone, as a phone with a quiet microphone does.

    Opening raises TransportError.
    """

    def __init__(self, local: str) -> None:
        self.packets_in = 0
        self.packets_out = 0
        self._loop = asyncio.get_running_loop()
        self._changes = Changes()
        self._remote: tuple[str, int] | None = None
        self._payload = PCMU
        self._sending = False
        self._mute = False
        self._tone: int | None = None
        self._detectors: set[ToneDetector] = set()
        self._heard: set[ToneDetector] = set()
        self._last_sound = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._sequence = secrets.randbelow(0x8000)
        self._timestamp = secrets.randbelow(0x8000_0000)
        self._source = secrets.randbits(32)
        self._position = 0
        self._socket: socket.socket | None = _bind_even(local)
        self.port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def send_tone(self, frequency: int | None) -> None:
        """Send a tone of ``frequency`` Hz from the next packet on; None for silence."""
        self._tone = frequency

    def never_send(self) -> None:
        """Send nothing at all from now on, not even silence: a phone that may not use its microphone, or a firewall."""
        self._mute = True

    async def heard(self, frequency: int, within: float = 3.0) -> bool:
        """Whether 100 ms of sound that arrives from now on carry the tone, waiting at most ``within`` seconds."""
        detector = ToneDetector(frequency)
        self._detectors.add(detector)
        try:
            await self._changes.until(lambda: detector in self._heard, within, f"tone of {frequency} Hz")
        except StillWaitingError:
            return False
        finally:
            self._detectors.discard(detector)
            self._heard.discard(detector)
        return True

    async def silent(self, for_: float = 0.5, within: float | None = None) -> bool:
        """Whether nothing audible arrives for ``for_`` seconds on end, within ``within`` (``for_`` + 1) seconds.

        No packets are silence too. The second more is for what is still on its way.
        """
        start = self._loop.time()
        deadline = start + (for_ + 1.0 if within is None else within)
        while True:
            quiet_at = max(self._last_sound, start) + for_
            now = self._loop.time()
            if now >= quiet_at:
                return True
            if quiet_at > deadline:
                return False
            await asyncio.sleep(quiet_at - now)

    def connect(self, address: str, port: int, payload: int, sending: bool) -> None:
        """Send to this address with this payload type from now on, or stop sending."""
        self._remote = (address, port)
        self._payload = payload
        self._sending = sending and port != 0
        if self._timer is None and self._socket is not None:
            self._tick(self._loop.time())

    def close(self) -> None:
        """Stop sending and close the socket."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                self._receive(self._socket.recv(2048))
            except BlockingIOError:
                return
            except OSError:
                continue  # the other side has closed its port already (ICMP), told once

    def _receive(self, data: bytes) -> None:
        """Take one RTP packet; anything else is ignored."""
        if len(data) <= _HEADER.size or data[0] >> 6 != 2 or (data[1] & 0x7F) not in (PCMU, PCMA):
            return
        self.packets_in += 1
        offset = _HEADER.size + 4 * (data[0] & 0x0F)
        self.take_samples(CODECS[data[1] & 0x7F].decode(data[offset:]))

    def take_samples(self, samples: Sequence[int]) -> None:
        """Listen to what has arrived."""
        if is_audible(samples):
            self._last_sound = self._loop.time()
        for detector in self._detectors:
            if detector.feed(samples):
                self._heard.add(detector)
                self._changes.notify()

    def _tick(self, due: float) -> None:
        """Send one packet and plan the next; after a hiccup of the machine the clock is set anew, without a burst."""
        if self._socket is None:
            return
        if self._sending and not self._mute and self._remote is not None:
            header = _HEADER.pack(0x80, self._payload, self._sequence, self._timestamp, self._source)
            self._transmit(header + self._next_octets(), self._remote)
            self._sequence = (self._sequence + 1) & 0xFFFF
            self.packets_out += 1
        self._timestamp = (self._timestamp + PACKET) & 0xFFFF_FFFF
        now = self._loop.time()
        following = due + PERIOD if now - due < 5 * PERIOD else now + PERIOD
        self._timer = self._loop.call_at(following, self._tick, following)

    def _transmit(self, packet: bytes, remote: tuple[str, int]) -> None:
        # A full buffer or a peer that has gone costs this packet, as on any network.
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(packet, remote)

    def _next_octets(self) -> bytes:
        if self._tone is None:
            return bytes([CODECS[self._payload].silence]) * PACKET
        octets = _tone_octets(self._payload, self._tone)
        self._position = (self._position + PACKET) % RATE
        return octets[self._position : self._position + PACKET]


def _bind_even(local: str) -> socket.socket:
    """A socket on an even port of the system's choice: RTP's (RFC 3550 §11)."""
    for _ in range(30):
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bound.bind((local, 0))
        except OSError as error:
            bound.close()
            raise TransportError(f"cannot bind RTP on {local}: {error}") from error
        if bound.getsockname()[1] % 2 == 0:
            bound.setblocking(False)
            return bound
        bound.close()
    raise TransportError(f"no even UDP port free on {local}")
