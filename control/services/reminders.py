"""Which devices are to be reminded of their binding, and when: kept over a restart of the edge agent."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.domain.reminder import Reminder
from control.store.models import BindingReminder, Device


def want(session: Session, reminder: Reminder) -> None:
    """Keep a reminder, in place of an earlier one of its device. A device that is gone is no error."""
    if session.get(Device, reminder.device) is not None:
        session.merge(BindingReminder(device_id=reminder.device, due=reminder.due, ends=reminder.ends))


def forget(session: Session, device: str) -> None:
    """The device needs no reminder any more."""
    session.execute(delete(BindingReminder).where(BindingReminder.device_id == device))


def pending(session: Session, now: float) -> list[Reminder]:
    """Those whose binding has not run out at a UNIX time."""
    rows = session.scalars(
        select(BindingReminder).where(BindingReminder.ends > now).order_by(BindingReminder.due)
    )
    return [Reminder(row.device_id, row.due, row.ends) for row in rows]


def prune(session: Session, before: float) -> int:
    """Forget those that ended before a UNIX time; how many there were."""
    result = session.execute(delete(BindingReminder).where(BindingReminder.ends < before))
    return int(result.rowcount)  # type: ignore[attr-defined]
