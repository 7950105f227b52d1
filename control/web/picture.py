"""Lays out a call's story as a picture: time from left to right, one lane for each who takes part."""

from __future__ import annotations

import math
from dataclasses import dataclass

from control.domain.story import Actor, Beat, Span, Story, duration

GUTTER = 200.0  # where the lanes' names stand
LANE = 72.0
RULER = 46.0
SLANT = math.radians(32)  # of the words above the lanes
MINIMUM = 1040.0
_TITLE = 146.0  # the room for a name in the gutter, beside the symbol
_LETTER = 7.8  # the width of a letter, on the safe side
_WIDE, _NARROW = "mwMW@…", "ijl-.'"  # letters of a name that are much wider, or narrower, than the rest
_MARGIN = 14.0
_STEP = 46.0  # the least distance between two steps: that of a gap of nothing
_DECADE = 26.0  # what each tenfold longer gap adds


def _width(name: str) -> float:
    """How wide a name is at most, in the widest of the fonts that the page may be shown in (DejaVu Sans, bold)."""
    return sum(15.0 if letter in _WIDE else 6.0 if letter in _NARROW else 10.0 for letter in name)


@dataclass(frozen=True)
class Lane:
    """A horizontal band; ``part`` names its colour and its symbol."""

    title: str
    part: str
    y: float
    top: float

    @property
    def label(self) -> str:
        """The title as far as there is room. Both ends of a device's id tell it from others: its person and its letters."""
        shorter = (f"{self.title[:kept]}…{self.title[-7:]}" for kept in range(6, 0, -1))
        return next(text for text in (self.title, *shorter) if _width(text) <= _TITLE)


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
    label_x: float


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
    top: float  # of the first lane; the slanted words end above it
    ruler: float
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    bars: tuple[Bar, ...]
    gaps: tuple[Gap, ...]


def draw(story: Story) -> Picture:
    """The layout of a story. Gaps grow with the logarithm of their time, so that 1 ms and 20 s fit one picture."""
    top = 20 + max((_extent(beat) for beat in story.beats), default=0.0) * math.sin(SLANT)
    columns = _columns(story)
    y = {actor: top + LANE * (i + 0.5) for i, actor in enumerate(story.actors)}
    lanes = tuple(Lane(a.title, a.part.value, y[a], y[a] - LANE / 2) for a in story.actors)
    marks = tuple(
        Mark(beat, x, y[beat.source], y[beat.target]) for beat, x in zip(story.beats, columns, strict=True)
    )
    ruler = top + LANE * len(lanes) + RULER / 2
    gaps = tuple(
        Gap(columns[i - 1], columns[i], duration(beat.gap_ms), beat.gap_ms >= 1000)
        for i, beat in enumerate(story.beats)
        if i
    )
    bars = tuple(_bar(span, columns, y) for span in story.spans if span.actor in y)
    width = max(MINIMUM, *(x + need for x, need in zip(columns, _needs(story), strict=True)), 0.0)
    return Picture(width, ruler + RULER / 2 + 8, top, ruler, lanes, marks, bars, gaps)


def _columns(story: Story) -> list[float]:
    x = GUTTER + 34
    natural = []
    for beat in story.beats:
        if beat.number > 1:
            x += _STEP + _DECADE * math.log10(1 + max(0.0, beat.gap_ms))
        natural.append(x)
    # A short story is stretched to the full width, as far as the words of every step still have room.
    stretch = min(
        (
            (MINIMUM - need - natural[0]) / (x - natural[0])
            for x, need in zip(natural[1:], _needs(story)[1:], strict=True)
        ),
        default=1.0,
    )
    return [natural[0] + (x - natural[0]) * max(1.0, min(stretch, 2.2)) for x in natural]


def _extent(beat: Beat) -> float:
    return len(beat.words) * _LETTER + _MARGIN


def _needs(story: Story) -> list[float]:
    """What each step needs to its right."""
    return [_extent(beat) * math.cos(SLANT) for beat in story.beats]


def _bar(span: Span, columns: list[float], y: dict[Actor, float]) -> Bar:
    x1, x2 = columns[span.begin - 1], columns[span.end - 1]
    label = f"{span.kind} {duration(span.milliseconds)}"
    # Where the distance between two steps is widest no arrow crosses the label.
    inside = range(span.begin, span.end)
    widest = max(inside, key=lambda i: columns[i] - columns[i - 1])
    middle = (columns[widest] + columns[widest - 1]) / 2
    return Bar(span.kind, x1, y[span.actor], x2 - x1, label, middle)


def course_points(scores: tuple[float, ...]) -> str:
    """Mean opinion scores in their order as the points of a line in a box of 100 by 20: 4.5 at its top, 1.0 at its bottom."""
    step = 100 / max(1, len(scores) - 1)
    return " ".join(f"{i * step:.1f},{20 * (4.5 - score) / 3.5:.1f}" for i, score in enumerate(scores))
