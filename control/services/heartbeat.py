"""Heartbeats: each long-lived process says now and then that it is alive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from control.store.models import Heartbeat

EDGE = "edge"
STALE_S = 10.0  # an edge agent that has not been heard of for so long is taken for dead


def beat(session: Session, name: str, at: float, detail: Mapping[str, object] | None = None) -> None:
    """Say that ``name`` is alive at a UNIX time, with a few facts to show."""
    text = json.dumps(dict(detail or {}), separators=(",", ":"))
    session.merge(Heartbeat(name=name, at=at, detail=text))
    session.flush()


def facts(session: Session, name: str) -> dict[str, Any]:
    """What it said of itself at its last beat; empty if there has never been one."""
    row = session.get(Heartbeat, name)
    found: dict[str, Any] = json.loads(row.detail) if row is not None else {}
    return found


def age(session: Session, name: str, now: float) -> float | None:
    """Seconds since the last beat, None if there has never been one."""
    row = session.get(Heartbeat, name)
    return None if row is None else max(0.0, now - row.at)
