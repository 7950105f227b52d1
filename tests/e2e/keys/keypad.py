"""A browser with a keypad: its keys travel in the audio stream as telephone-events (RFC 4733), in place of its own packets."""

from __future__ import annotations

import contextlib
import re
import struct
from collections import deque
from collections.abc import Iterator

from demo.phone.errors import StillWaitingError
from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone

KEYS = "0123456789*#"
_PACKETS, _ENDS, _PAUSE = 6, 3, 6  # of 20 ms: while the key is down, the last one repeated, silence after it
_MAP = re.compile(r"^a=rtpmap:(\d+) telephone-event/(\d+)", re.MULTILINE)
_OURS = ((110, 48000), (126, 8000))


class KeypadAudio(WebRtcAudio):
    """Presses keys and notes those that come in: ``pressed``."""

    def __init__(self, local: str, codecs: tuple[str, ...]) -> None:
        super().__init__(local, codecs)
        self.pressed = ""
        self._types: dict[int, int] = {}  # payload type -> clock, Hz
        self._seen: set[int] = set()
        self._events: deque[tuple[bool, bytes] | None] = deque()
        self._began = 0

    async def offer(self, direction: str) -> bytes:
        """Describe ourselves, keypad included."""
        return _with_events(await super().offer(direction), dict(_OURS))

    async def answer(self, offer: bytes, direction: str) -> bytes:
        """Take an offer, keypad included."""
        self._types = {int(kind): int(clock) for kind, clock in _MAP.findall(offer.decode())}
        return _with_events(await super().answer(offer, direction), self._types)

    async def accept(self, answer: bytes) -> None:
        """Take an answer."""
        self._types = {int(kind): int(clock) for kind, clock in _MAP.findall(answer.decode())}
        await super().accept(answer)

    async def attach(self) -> None:
        """Put the keypad between the audio and the wire, once they are connected."""
        self.peer.on("connectionstatechange", self._changes.notify)
        await self._changes.until(lambda: self.peer.connectionState == "connected", 10.0, "connected")
        dtls = self.peer.getSenders()[0].transport
        take, send = dtls._handle_rtp_data, dtls._send_rtp

        async def receive(data: bytes, arrival_time_ms: int) -> None:
            self._note(data)
            await take(data, arrival_time_ms=arrival_time_ms)

        async def transmit(data: bytes) -> None:
            await send(data if 200 <= data[1] <= 206 else self._in_place_of(data))

        dtls._handle_rtp_data = receive  # type: ignore[method-assign]
        dtls._send_rtp = transmit  # type: ignore[method-assign]

    def press(self, keys: str) -> None:
        """Press these keys, one after the other."""
        for key in keys:
            self._events.extend(self._event(KEYS.index(key)))

    async def have_come(self, keys: str, within: float = 8.0) -> bool:
        """Whether just these keys are pressed at the other side."""
        with contextlib.suppress(StillWaitingError):
            await self._changes.until(lambda: len(self.pressed) >= len(keys), within, "the keys")
        return self.pressed == keys

    @property
    def _clock(self) -> tuple[int, int]:
        """Payload type and clock of the events we send: those of the codec's clock, else whatever there is."""
        audio = 48000 if self.codec == "opus" else 8000
        fitting = [kind for kind, clock in self._types.items() if clock == audio]
        kind = fitting[0] if fitting else next(iter(self._types))
        return kind, self._types[kind]

    def _event(self, event: int) -> Iterator[tuple[bool, bytes] | None]:
        step = self._clock[1] // 50
        for number in range(1, _PACKETS + _ENDS + 1):
            over = number > _PACKETS
            duration = step * min(number, _PACKETS)
            yield number == 1, struct.pack("!BBH", event, (0x80 if over else 0) | 10, duration)
        yield from [None] * _PAUSE

    def _in_place_of(self, data: bytes) -> bytes:
        event = self._events.popleft() if self._events else None
        if event is None:
            return data
        first, payload = event
        header = 12 + 4 * (data[0] & 0x0F)
        if data[0] & 0x10:
            header += 4 + 4 * int.from_bytes(data[header + 2 : header + 4], "big")
        if first:
            self._began = int.from_bytes(data[4:8], "big")
        kind = self._clock[0] | (0x80 if first else 0)
        began = self._began.to_bytes(4, "big")
        return bytes([data[0] & ~0x20, kind]) + data[2:4] + began + data[8:header] + payload

    def _note(self, data: bytes) -> None:
        if data[1] & 0x7F in self._types:
            timestamp, event = int.from_bytes(data[4:8], "big"), data[-4]
            if timestamp not in self._seen:
                self._seen.add(timestamp)
                self.pressed += KEYS[event]
                self._changes.notify()


class KeypadPhone(WebRtcPhone):
    """A browser whose user presses keys."""

    audio = KeypadAudio


class OpusKeypadPhone(KeypadPhone):
    """The same with one codec alone."""

    codecs = ("opus",)


def _with_events(body: bytes, types: dict[int, int]) -> bytes:
    text = body.decode()
    kinds = "".join(f" {kind}" for kind in types)
    text = re.sub(r"^(m=audio .*?)\r$", rf"\g<1>{kinds}\r", text, count=1, flags=re.MULTILINE)
    lines = "".join(f"a=rtpmap:{kind} telephone-event/{clock}\r\n" for kind, clock in types.items())
    return re.sub(r"(a=rtpmap:)", lines + r"\g<1>", text, count=1).encode()
