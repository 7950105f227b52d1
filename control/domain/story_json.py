"""A call and its story as plain dictionaries, for the API and for scripts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from control.domain.journal import CallHead
from control.domain.story import Beat, Story, summary
from control.domain.story_text import figures
from control.domain.wake_test import WakeTest


def call_as_dict(head: CallHead) -> dict[str, Any]:
    """A call in one line. Times are UNIX seconds, null where there is none."""
    return {
        **asdict(head),
        "answered_at": head.answered_at or None,
        "ended_at": head.ended_at or None,
        "summary": summary(head),
    }


def story_as_dict(story: Story) -> dict[str, Any]:
    """A call with its steps and figures; times between are in milliseconds."""
    return {
        **call_as_dict(story.head),
        "summary": story.summary,
        "steps": [beat_as_dict(beat) for beat in story.beats],
        "figures": [{"name": f.name, "milliseconds": round(f.milliseconds, 3)} for f in figures(story)],
        "audio": _audio(story),
    }


def _audio(story: Story) -> dict[str, Any] | None:
    if story.quality is None or story.verdict is None:
        return None
    sides = {
        leg.side.value: {k: v for k, v in asdict(leg).items() if k != "side"} for leg in story.quality.legs
    }
    return {"verdict": story.verdict.audio.value, "words": story.verdict.words, **sides}


def wake_test_as_dict(test: WakeTest) -> dict[str, Any]:
    """A test call to a device, with the steps of its call so far; ``ok`` and ``words`` are null until it is over."""
    took = test.push_to_register_ms
    return {
        "id": test.id,
        "device": test.device,
        "wanted_at": test.wanted_at,
        "state": test.state.value,
        "ok": test.finding.ok if test.finding else None,
        "words": test.finding.words if test.finding else None,
        "push_to_register_ms": None if took is None else round(took, 3),
        "call": test.story.head.call if test.story else None,
        "steps": [beat_as_dict(beat) for beat in test.story.beats] if test.story else [],
    }


def beat_as_dict(beat: Beat) -> dict[str, Any]:
    """One step of a call."""
    return {
        "at": beat.at,
        "offset_ms": round(beat.offset_ms, 3),
        "gap_ms": round(beat.gap_ms, 3),
        "step": beat.step.step,
        "words": beat.words,
        "from": beat.source.title,
        "to": beat.target.title,
        "device": beat.step.device,
        "provider": beat.step.provider,
        "code": beat.step.code,
        "reason": beat.step.reason,
    }
