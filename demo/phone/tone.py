"""Making a tone and finding one (Goertzel's algorithm), at 8,000 samples a second."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

RATE = 8000
WINDOW = 800  # samples, 100 ms: tones 20 Hz apart are told apart
_AMPLITUDE = 8000.0
_AUDIBLE = (
    300.0  # root mean square of a window that counts as sound; G.711's quantisation of silence is below 10
)
_SHARE = 0.3  # of a window's energy, for a tone to be heard in it: a mix of three still counts


def one_second(frequency: int) -> list[int]:
    """A sine of ``frequency`` Hz whose end joins its beginning."""
    step = 2 * math.pi * frequency / RATE
    return [round(_AMPLITUDE * math.sin(step * n)) for n in range(RATE)]


def share_of(frequency: int, samples: Sequence[int]) -> float:
    """How much of the samples' energy is at ``frequency`` Hz, 0 to 1."""
    total = float(sum(sample * sample for sample in samples))
    if not total:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / RATE)
    previous = before = 0.0
    for sample in samples:
        previous, before = sample + coefficient * previous - before, previous
    power = previous * previous + before * before - coefficient * previous * before
    return 2 * power / (len(samples) * total)


def is_audible(samples: Sequence[int]) -> bool:
    """Whether the samples are louder than the noise of a quiet line."""
    return bool(samples) and math.sqrt(sum(s * s for s in samples) / len(samples)) > _AUDIBLE


class ToneDetector:
    """Is fed samples and tells when a whole window of them carries the tone."""

    def __init__(self, frequency: int) -> None:
        self.frequency = frequency
        self._window: deque[int] = deque(maxlen=WINDOW)

    def feed(self, samples: Sequence[int]) -> bool:
        """Add samples; True once the last 100 ms carry the tone."""
        self._window.extend(samples)
        if len(self._window) < WINDOW or not is_audible(self._window):
            return False
        return share_of(self.frequency, self._window) >= _SHARE
