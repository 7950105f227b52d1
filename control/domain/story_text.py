"""A call's story, and its figures, as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from control.domain.quality import Quality
from control.domain.story import Beat, Story, duration, title


@dataclass(frozen=True)
class Figure:
    """One number that tells how well it went; ``milliseconds`` between two steps."""

    name: str
    milliseconds: float

    @property
    def value(self) -> str:
        """The time as people read it."""
        return duration(self.milliseconds)


# Name, the step it begins with, the step it ends with: the first of each, where the call has both.
_FIGURES = (
    ("to send the push", "invite-in", "push-sent"),
    ("for the provider to accept it", "push-sent", "push-accepted"),
    ("for the phone to wake", "push-sent", "register"),
    ("from waking to the call", "register", "invite-out"),
    ("to the first ring", "invite-in", "ringing"),
    ("to the answer", "invite-in", "answered"),
)


def figures(story: Story) -> list[Figure]:
    """The times that matter in this call."""
    first: dict[str, Beat] = {}
    for beat in story.beats:
        if beat.step.step == "request-held":
            break  # what the phone is woken for from here on is no call
        # That the PBX was told of ringing is not yet a phone that rings.
        if beat.step.step != "ringing" or beat.step.device or story.head.direction == "out":
            first.setdefault(beat.step.step, beat)
    return [
        Figure(name, (first[end].at - first[begin].at) * 1000)
        for name, begin, end in _FIGURES
        if begin in first and end in first and first[end].at >= first[begin].at
    ]


def moment(at: float) -> str:
    """A UNIX time as a date and time of day, to the millisecond, in UTC."""
    when = datetime.fromtimestamp(at, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03d} UTC"


def as_text(story: Story) -> str:
    """The whole story: a heading, a line for each step with the milliseconds, and the figures."""
    lines = [heading(story), story.summary, ""]
    rows = [
        (
            duration(beat.offset_ms),
            f"+{duration(beat.gap_ms)}" if beat.number > 1 else "",
            beat.words,
            route(beat),
            beat.detail,
        )
        for beat in story.beats
    ]
    lines += _columns([("at", "step took", "what happened", "who", "signal"), *rows], right=(0, 1))
    return "\n".join([*lines, *_in_the_end(story)])


def heading(story: Story) -> str:
    """Who called whom, when, and the reference of the call."""
    head = story.head
    return f"{title(head)}   {moment(head.started_at)}   call {head.call}"


def line(beat: Beat) -> str:
    """One step, on a line of its own."""
    return f"{duration(beat.offset_ms):>10}  {beat.words}  ({route(beat)}) {beat.detail}".rstrip()


def ending(story: Story) -> str:
    """What a call that was followed step by step comes to in the end."""
    return "\n".join([story.summary, *_in_the_end(story)])


def _in_the_end(story: Story) -> list[str]:
    lines = []
    numbers = figures(story)
    if numbers:
        lines += ["", *_columns([(figure.value, figure.name) for figure in numbers], right=(0,))]
    if story.quality is not None and story.verdict is not None:
        lines += ["", story.verdict.words, *_columns(_audio_rows(story.quality), right=(1, 2, 3, 4, 5, 6))]
    return lines


def _audio_rows(quality: Quality) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("audio from", "packets", "heard MOS", "at worst", "loss", "jitter", "round trip", "codec")
    ]
    for leg in quality.legs:
        heard = leg.heard
        reported = (
            (
                f"{heard.mos:.1f}",
                f"{heard.mos_lowest:.1f}",
                f"{heard.loss:.1f} %",
                duration(heard.jitter),
                duration(heard.round_trip),
            )
            if heard
            else ("–",) * 5
        )
        rows.append((leg.side.words, str(leg.packets), *reported, leg.codec or "–"))
    return rows


def route(beat: Beat) -> str:
    """Who acted on whom, in a few words."""
    if beat.source == beat.target:
        return beat.source.title
    return f"{beat.source.title} → {beat.target.title}"


def _columns(rows: Iterable[tuple[str, ...]], right: tuple[int, ...]) -> list[str]:
    table = list(rows)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
