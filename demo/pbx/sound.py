"""A tone as a file that Asterisk can play."""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path

_RATE = 8000  # samples a second, what a telephone carries


def write_tone(path: Path, frequency: int, seconds: int = 4) -> None:
    """Write a sine at a quarter of full volume, 16 bit, mono."""
    samples = (round(8000 * math.sin(2 * math.pi * frequency * n / _RATE)) for n in range(seconds * _RATE))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
