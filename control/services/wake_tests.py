"""Test calls to devices: wanted by the pages, the API and the command line, carried out by the edge agent."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from control.domain.errors import NotFoundError, NotPossibleError
from control.domain.reach import ReachTerms
from control.domain.story import Story
from control.domain.text import printable
from control.domain.wake_test import TAKEN_WITHIN_S, State, WakeTest, call_id, judged
from control.services import journal, outbox, people, reach
from control.store.models import WantedWake


@dataclass(frozen=True)
class Wanted:
    """A test that nobody has carried out yet."""

    id: str
    device: str


def want(session: Session, device_id: str, terms: ReachTerms, now: float) -> WakeTest:
    """Ask for a test call to a device; one that is under way is as good, and is returned.

    Raises NotFoundError, and NotPossibleError for a device that sleeps and has no push token that could wake it.
    """
    device = people.get_device(session, device_id)
    newest = latest(session, device.id, now)
    if newest is not None and newest.state is not State.OVER:
        return newest
    (found,) = reach.of(session, [device], terms, now)
    if not found.reach.callable:
        raise NotPossibleError(
            f"{device.id} cannot be called for a test. {found.reach.words}. {found.reach.advice}"
        )
    row = WantedWake(id=secrets.token_hex(12), device_id=device.id, wanted_at=now, taken_at=0.0, ended_at=0.0)
    session.add(row)
    outbox.note(session, outbox.WAKE, device.id, at=now)
    return _test(session, row, now)


def take(session: Session, now: float) -> Sequence[Wanted]:
    """Take in hand what is wanted; what was for too long is left, as whoever wanted it has been told so."""
    untaken = (WantedWake.taken_at == 0.0, WantedWake.wanted_at > now - TAKEN_WITHIN_S)
    taken = (
        update(WantedWake).where(*untaken).values(taken_at=now).returning(WantedWake.id, WantedWake.device_id)
    )
    return [Wanted(*row) for row in session.execute(taken)]


def over(session: Session, test: str, at: float) -> None:
    """A test's call is over."""
    session.execute(update(WantedWake).where(WantedWake.id == test).values(ended_at=at))


def get(session: Session, device_id: str, test: str, now: float) -> WakeTest:
    """A test of a device. Raises NotFoundError."""
    row = session.get(WantedWake, test)
    if row is None or row.device_id != device_id:
        raise NotFoundError(f"there is no test {printable(test, 40)!r} of {printable(device_id, 80)!r}")
    return _test(session, row, now)


def latest(session: Session, device_id: str, now: float) -> WakeTest | None:
    """The newest test of a device."""
    query = select(WantedWake).where(WantedWake.device_id == device_id)
    row = session.scalars(query.order_by(WantedWake.wanted_at.desc(), WantedWake.id).limit(1)).first()
    return None if row is None else _test(session, row, now)


def prune(session: Session, before: float) -> int:
    """Forget the tests that were wanted before a UNIX time; how many there were."""
    result = session.execute(delete(WantedWake).where(WantedWake.wanted_at < before))
    return int(result.rowcount)  # type: ignore[attr-defined]


def _test(session: Session, row: WantedWake, now: float) -> WakeTest:
    return judged(
        test=row.id,
        device=row.device_id,
        wanted_at=row.wanted_at,
        taken_at=row.taken_at,
        ended_at=row.ended_at,
        story=_story(session, row.id) if row.taken_at else None,
        now=now,
    )


def _story(session: Session, test: str) -> Story | None:
    try:
        return journal.story(session, call_id(test))
    except NotFoundError:
        return None
