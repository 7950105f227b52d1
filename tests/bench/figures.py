"""A figure as it stands in build/bench.json, and the few statistics behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured value; ``peer`` says what it was measured against, in the same run.

    The goal is the most it may be; with ``more``, where more is better, the least.
    """

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    goal: float | None = None
    more: bool = False

    @property
    def reached(self) -> bool:
        """Whether the goal is met: by the ratio where there is a peer, by the value otherwise."""
        measured = self.value if self.ratio is None else self.ratio
        if self.goal is None:
            return True
        return measured >= self.goal if self.more else measured <= self.goal

    def __str__(self) -> str:
        text = f"{self.name} {self.value:g} {self.unit}"
        if self.ratio is not None:
            text += f" against {self.peer_value:g} ({self.peer}): ratio {self.ratio:.2f}"
        if self.goal is not None:
            text += f", goal {self.goal:g}: {'reached' if self.reached else 'MISSED'}"
        return text


def against(
    name: str,
    unit: str,
    peer: str,
    pairs: Sequence[tuple[float, float]],
    goal: float | None,
    *,
    more: bool = False,
) -> Figure:
    """A figure from rounds measured in turn, ours and the peer's: medians, and the median of the ratios."""
    ours, theirs = median(p[0] for p in pairs), median(p[1] for p in pairs)
    ratio = median(mine / other for mine, other in pairs)
    return Figure(name, round(ours, 3), unit, peer, round(theirs, 3), round(ratio, 3), goal, more)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that ``percent`` of all do not exceed (nearest rank). ValueError when there are none."""
    if not values:
        raise ValueError("no values to take a percentile of")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def write(figures: Sequence[Figure], path: Path) -> None:
    """Write build/bench.json."""
    kept = ("name", "value", "unit", "peer", "peer_value", "ratio")
    rows = [{key: asdict(figure)[key] for key in kept} for figure in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
