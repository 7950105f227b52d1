"""How devices stand: connected, wakeable or not, with what their tokens, registrations and wakes tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.orm import Session

from control.domain.reach import DeviceStanding, ReachTerms, reachability
from control.domain.wakes import times, wait_within
from control.services import mailboxes, registrations, tokens, wakes
from control.store.models import Device


def of(
    session: Session, devices: Iterable[Device], terms: ReachTerms, now: float
) -> Sequence[DeviceStanding]:
    """How these devices stand at a UNIX time, in their order."""
    rows = list(devices)
    ids = [row.id for row in rows]
    held = tokens.tokens_of(session, *ids) if ids else {}
    seen = wakes.of_devices(session, ids)
    bound = registrations.bound_until(session, ids)
    held_for = mailboxes.of_users(session, (row.user_id for row in rows))
    return [
        DeviceStanding(
            device=row.id,
            name=row.name,
            user=row.user_id,
            reach=reachability(
                connected=bound.get(row.id, 0.0) > now,
                tokens=held.get(row.id, ()),
                providers=terms.providers,
                newest_first=seen.get(row.id, ()),
                patience=terms.patience,
            ),
            tokens=held.get(row.id, ()),
            wakes=seen.get(row.id, ()),
            times=times(seen.get(row.id, ())),
            wait=wait_within(row.wait, terms.waits),
            mailboxes=held_for.get(row.user_id, ()),
        )
        for row in rows
    ]
