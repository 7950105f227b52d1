"""A browser with a camera: a small picture, ten times a second."""

from __future__ import annotations

import asyncio
import fractions
import re

import av
from aiortc import MediaStreamTrack, VideoStreamTrack

from tests.fixtures.webrtc import WebRtcAudio, WebRtcPhone

_RATE = 10  # pictures a second


class _Camera(VideoStreamTrack):
    """Shows one grey, from when ``rolling`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self.rolling = asyncio.Event()

    async def recv(self) -> av.VideoFrame:
        await self.rolling.wait()
        await asyncio.sleep(1 / _RATE)
        self._count += 1
        frame = av.VideoFrame(width=160, height=120, format="yuv420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = self._count * 90000 // _RATE, fractions.Fraction(1, 90000)
        return frame


class CameraAudio(WebRtcAudio):
    """Sends pictures beside the audio and counts those that come."""

    def __init__(self, local: str, codecs: tuple[str, ...]) -> None:
        super().__init__(local, codecs)
        self.pictures = 0
        self._camera = _Camera()

    async def offer(self, direction: str) -> bytes:
        """Describe ourselves, audio first."""
        if not self.peer.getTransceivers():
            self.peer.addTrack(self._microphone)
            self.peer.addTrack(self._camera)
        return await super().offer(direction)

    async def answer(self, offer: bytes, direction: str) -> bytes:
        """Take an offer, with what of it we have."""
        if b"m=video" in offer and len(self.peer.getSenders()) < 2:
            self.peer.addTrack(self._microphone)
            self.peer.addTrack(self._camera)
        return await super().answer(offer, direction)

    async def accept(self, answer: bytes) -> None:
        """Take an answer. aiortc wants ICE, keys and codecs in a stream that is refused, too: those of the audio, and our own."""
        first, *rejected = re.split(rb"(?=^m=video 0 )", answer, flags=re.MULTILINE)
        needed = b"".join(re.findall(rb"^a=(?:ice-|fingerprint|setup|rtcp-mux).*\n", first, re.MULTILINE))
        own = self.peer.localDescription.sdp.encode().partition(b"\nm=video")[2]
        needed += b"a=inactive\r\n" + b"".join(re.findall(rb"^a=rtpmap.*\n", own, re.MULTILINE))
        await super().accept(first + b"".join(section + needed for section in rejected))

    def roll(self) -> None:
        """Begin to show pictures. The first one is the whole, and must not be lost while the far end is not there yet."""
        self._camera.rolling.set()

    async def seen(self, count: int = 5, within: float = 10.0) -> bool:
        """Whether so many pictures have come."""
        await self._changes.until(lambda: self.pictures >= count, within, "pictures")
        return True

    def _on_track(self, track: MediaStreamTrack) -> None:
        super()._on_track(track)
        if track.kind == "video":
            self._listeners.append(asyncio.create_task(self._look(track)))

    async def _look(self, track: MediaStreamTrack) -> None:
        while True:
            await track.recv()
            self.pictures += 1
            self._changes.notify()


class CameraPhone(WebRtcPhone):
    """A browser that is seen."""

    audio = CameraAudio
