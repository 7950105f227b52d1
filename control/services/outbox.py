"""The outbox: each change leaves a row in its own transaction, from which the edge agents learn of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from control.store.models import Outbox

DEVICE = "device"  # key: device id
LINE = "line"  # key: user id
CONNECTION = "connection"  # key: connection id
TRUNK = "trunk"  # key: connection id; the tables of trunks and numbers are others now
WAKE = "wake"  # key: device id, which is to be called for a test
RETRY = "retry"  # key: connection id, to be tried at its PBX at once; nothing was changed
TOKEN = "token"  # noqa: S105  key: device id, whose push tokens are others now

# Any number that nothing else locks. PostgreSQL hands out ids before the commit, so that a reader could see
# 6, and 5 only later, and miss it: writers of the outbox go one after the other.
_OUTBOX_LOCK = 7216202


@dataclass(frozen=True)
class Change:
    """One row of the outbox."""

    id: int
    kind: str
    key: str


def note(session: Session, kind: str, *keys: str, at: float | None = None) -> None:
    """Leave word that these were changed, in the session's transaction."""
    if not keys:
        return
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _OUTBOX_LOCK})
    now = time.time() if at is None else at
    session.add_all(Outbox(kind=kind, key=key, at=now) for key in keys)
    session.flush()


def latest(session: Session) -> int:
    """The id of the last change, 0 if there has been none. Cheap enough to be asked five times a second."""
    return session.scalar(select(func.max(Outbox.id))) or 0


def since(session: Session, last: int, limit: int = 10_000) -> list[Change]:
    """The changes after ``last``, in the order of their commits."""
    rows = session.execute(
        select(Outbox.id, Outbox.kind, Outbox.key).where(Outbox.id > last).order_by(Outbox.id).limit(limit)
    )
    return [Change(*row) for row in rows]


def prune(session: Session, before: float) -> int:
    """Delete changes older than a UNIX time, but never the last one: its id is where the count goes on."""
    result = session.execute(delete(Outbox).where(Outbox.at < before, Outbox.id < latest(session)))
    return int(result.rowcount)  # type: ignore[attr-defined]
