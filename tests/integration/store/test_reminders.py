"""Reminders of bindings: one a device, gone with it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from control.domain.reminder import Reminder
from control.services import people, reminders


def test_the_newest_reminder_of_a_device_is_kept_until_it_is_over(session: Session) -> None:
    people.add_user(session, "alice")
    phone = people.add_device(session, "alice", "Phone", "nightbell.test")[0].id
    reminders.want(session, Reminder(phone, 100.0, 200.0))
    reminders.want(session, Reminder(phone, 150.0, 250.0))
    reminders.want(session, Reminder("gone", 1.0, 999.0))
    assert reminders.pending(session, 249.0) == [Reminder(phone, 150.0, 250.0)]
    assert reminders.pending(session, 250.0) == []
    assert reminders.prune(session, 250.0) == 0
    assert reminders.prune(session, 251.0) == 1
    reminders.want(session, Reminder(phone, 150.0, 250.0))
    reminders.forget(session, phone)
    assert reminders.pending(session, 0.0) == []
    reminders.want(session, Reminder(phone, 150.0, 250.0))
    people.remove_device(session, phone)
    session.flush()
    assert reminders.pending(session, 0.0) == []
