"""Alarms: what a person must see to, once each, until it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from control.domain.text import printable
from control.store.models import Alarm

REGISTRATION_STOPPED = "registration-stopped"  # subject: connection id
MEDIA_RELAY_DOWN = "media-relay-down"  # subject: its name in the settings
PUSH_MISCONFIGURED = "push-misconfigured"  # subject: provider and app


@dataclass(frozen=True)
class Raised:
    """One alarm. Times are UNIX seconds; ``cleared_at`` is None while it stands."""

    id: int
    at: float
    kind: str
    subject: str
    text: str
    cleared_at: float | None


def sound(session: Session, kind: str, subject: str, text: str, at: float) -> bool:
    """Raise an alarm, unless it stands already: then only its text is renewed. Whether it is a new one."""
    text = printable(text, 1000)
    standing = session.scalar(_standing(kind, subject))
    if standing is not None:
        standing.text = text
        session.flush()
        return False
    session.add(Alarm(at=at, kind=kind, subject=subject, text=text, cleared_at=None))
    session.flush()
    return True


def clear(session: Session, kind: str, at: float, *subjects: str) -> int:
    """These are over; how many alarms stood."""
    query = update(Alarm).where(Alarm.kind == kind, Alarm.subject.in_(subjects), Alarm.cleared_at.is_(None))
    return int(session.execute(query.values(cleared_at=at)).rowcount)  # type: ignore[attr-defined]


def count(session: Session) -> int:
    """How many alarms stand."""
    return session.scalar(select(func.count()).where(Alarm.cleared_at.is_(None))) or 0


def latest(session: Session, limit: int = 100, *, cleared: bool = False) -> Sequence[Raised]:
    """The newest first: those that stand, or with ``cleared`` also those that are over."""
    query = select(Alarm).order_by(Alarm.id.desc()).limit(limit)
    if not cleared:
        query = query.where(Alarm.cleared_at.is_(None))
    return [
        Raised(row.id, row.at, row.kind, row.subject, row.text, row.cleared_at)
        for row in session.scalars(query)
    ]


def prune(session: Session, before: float) -> int:
    """Delete the alarms that were cleared before a UNIX time; how many there were."""
    return int(session.execute(delete(Alarm).where(Alarm.cleared_at < before)).rowcount)  # type: ignore[attr-defined]


def _standing(kind: str, subject: str) -> Select[Alarm]:
    return select(Alarm).where(Alarm.kind == kind, Alarm.subject == subject, Alarm.cleared_at.is_(None))
