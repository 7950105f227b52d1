"""The register log for people and for scripts."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from control.domain.register_log import PBX, Run
from control.domain.registration_phrases import Standing, advice, state_words
from control.domain.story import duration
from control.domain.story_text import moment


def as_row(run: Run) -> dict[str, object]:
    """A run as one line of a table."""
    last = run.last
    return {
        "from": moment(run.first_at),
        "to": moment(last.at) if run.count > 1 else "",
        "times": run.count,
        "state": last.state,
        "why": last.why,
        "reply": " ".join(str(part) for part in (last.code, last.reason) if part),
        "granted": f"{last.expires} s" if last.expires else "",
        "round_trip": _round_trips(run),
        "contact": last.contact,
        "from_address": last.source,
    }


def as_dict(run: Run, standing: Standing | None = None) -> dict[str, Any]:
    """A run with all that is known; times are UNIX seconds, round trips milliseconds.

    With the ``standing`` of the connection, a failure comes with the sentence that says what to check.
    """
    last = asdict(run.last)
    for name in ("at", "rtt_ms"):
        del last[name]
    result = {
        "first_at": run.first_at,
        "last_at": run.last.at,
        "count": run.count,
        **last,
        "rtt_min_ms": round(run.rtt_min, 3),
        "rtt_avg_ms": round(run.rtt_avg, 3),
        "rtt_max_ms": round(run.rtt_max, 3),
    }
    if standing is not None and run.last.side == PBX:
        then = replace(
            standing,
            state=run.last.state,
            why=run.last.why,
            code=run.last.code,
            reason=run.last.reason,
            enabled=True,
        )
        result |= {"words": state_words(then), "advice": advice(then) or None}
    return result


def _round_trips(run: Run) -> str:
    if not run.rtt_max:
        return ""
    if run.count == 1:
        return duration(run.rtt_max)
    return f"{duration(run.rtt_min)} … {duration(run.rtt_avg)} … {duration(run.rtt_max)}"
