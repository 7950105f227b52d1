"""Lays out a call's story as a picture: time from left to right, one lane for each who takes part."""

from __future__ import annotations

import math
from dataclasses import dataclass

from control.domain.story import Actor, Beat, Span, Story, duration

GUTTER = 168.0  # where the lanes' names stand
TOP = 128.0  # room for the slanted words
LANE = 72.0
RULER = 46.0
RIGHT = 150.0  # room for the last words
MINIMUM = 1040.0
_STEP = 46.0  # the least distance between two steps: that of a gap of nothing
_DECADE = 26.0  # what each tenfold longer gap adds


@dataclass(frozen=True)
class Lane:
    """A horizontal band; ``part`` names its colour and its symbol."""

    title: str
    part: str
    y: float
    top: float


@dataclass(frozen=True)
class Mark:
    """One step: a line from ``y1`` to ``y2`` at ``x``, pointing to ``y2``, where its number stands."""

    beat: Beat
    x: float
    y1: float
    y2: float

    @property
    def arrow(self) -> bool:
        """Whether one acts on another."""
        return self.y1 != self.y2

    @property
    def tail(self) -> float:
        """Where the line ends: at the rim of the number's disc."""
        return self.y2 - math.copysign(12.0, self.y2 - self.y1)


@dataclass(frozen=True)
class Bar:
    """A span of time on a lane."""

    kind: str
    x: float
    y: float
    width: float
    label: str


@dataclass(frozen=True)
class Gap:
    """A piece of the time line, with the time it stands for."""

    x1: float
    x2: float
    label: str
    long: bool

    @property
    def middle(self) -> float:
        """Where its label stands."""
        return (self.x1 + self.x2) / 2


@dataclass(frozen=True)
class Picture:
    """All that the template draws; lengths are in pixels of the SVG's own size."""

    width: float
    height: float
    ruler: float
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    bars: tuple[Bar, ...]
    gaps: tuple[Gap, ...]


def draw(story: Story) -> Picture:
    """The layout of a story. Gaps grow with the logarithm of their time, so that 1 ms and 20 s fit one picture."""
    columns = _columns(story)
    y = {actor: TOP + LANE * (i + 0.5) for i, actor in enumerate(story.actors)}
    lanes = tuple(Lane(a.title, a.part.value, y[a], y[a] - LANE / 2) for a in story.actors)
    marks = tuple(
        Mark(beat, x, y[beat.source], y[beat.target]) for beat, x in zip(story.beats, columns, strict=True)
    )
    ruler = TOP + LANE * len(lanes) + RULER / 2
    gaps = tuple(
        Gap(columns[i - 1], columns[i], duration(beat.gap_ms), beat.gap_ms >= 1000)
        for i, beat in enumerate(story.beats)
        if i
    )
    bars = tuple(_bar(span, columns, y) for span in story.spans if span.actor in y)
    width = max(MINIMUM, (columns[-1] if columns else 0.0) + RIGHT)
    return Picture(width, ruler + RULER / 2 + 8, ruler, lanes, marks, bars, gaps)


def _columns(story: Story) -> list[float]:
    x = GUTTER + 34
    natural = []
    for beat in story.beats:
        if beat.number > 1:
            x += _STEP + _DECADE * math.log10(1 + max(0.0, beat.gap_ms))
        natural.append(x)
    if len(natural) < 2 or natural[-1] + RIGHT >= MINIMUM:
        return natural
    stretch = (MINIMUM - RIGHT - natural[0]) / (natural[-1] - natural[0])
    return [natural[0] + (x - natural[0]) * min(stretch, 2.2) for x in natural]


def _bar(span: Span, columns: list[float], y: dict[Actor, float]) -> Bar:
    x1, x2 = columns[span.begin - 1], columns[span.end - 1]
    words = {"held": "held", "ringing": "ringing", "talking": "talking"}[span.kind]
    label = f"{words} {duration(span.milliseconds)}"
    return Bar(span.kind, x1, y[span.actor], x2 - x1, label)
