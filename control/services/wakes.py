"""The wakes of devices: written by the edge agents at each stage, read for statistics and for how a device stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from control.domain.text import printable
from control.domain.wakes import REMEMBERED, DeviceWake, WaitPolicy, wait_for
from control.services import outbox
from control.store.models import Device, Wake

_NAMES = [field.name for field in fields(DeviceWake)]
_COLUMNS = [getattr(Wake, name) for name in _NAMES]
_KEY = ("wake", "device")
_DEVICES_AT_ONCE = 500  # of one query's parameters


def record(session: Session, seen: Iterable[DeviceWake], policy: WaitPolicy) -> None:
    """Write how far these wakes have come, in the order in which they were seen; a later one takes the place of an earlier.

    Where that changes how long a call is to be held for a device, its line is projected anew.
    """
    latest = {(wake.wake, wake.device): _kept(wake) for wake in seen}
    if not latest:
        return
    dialect = session.get_bind().dialect.name
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    insert = make(Wake.__table__)  # type: ignore[arg-type]
    updated = {name: insert.excluded[name] for name in _NAMES if name not in _KEY}
    statement = insert.on_conflict_do_update(index_elements=_KEY, set_=updated)
    # In one order everywhere, so that two agents cannot wait for each other.
    session.connection().execute(statement, [asdict(latest[key]) for key in sorted(latest)])
    _learn(session, {wake.device for wake in latest.values() if wake.outcome}, policy)


def of_devices(
    session: Session, devices: Iterable[str], limit: int = REMEMBERED
) -> Mapping[str, Sequence[DeviceWake]]:
    """The last wakes of each of these devices, the newest first; a device that was never pushed to is absent."""
    found: defaultdict[str, list[DeviceWake]] = defaultdict(list)
    for some in _portions(sorted(set(devices))):
        number = func.row_number().over(partition_by=Wake.device, order_by=Wake.pushed_at.desc())
        rows = select(*_COLUMNS, number.label("number")).where(Wake.device.in_(some)).subquery()
        query = select(*(rows.c[name] for name in _NAMES)).where(rows.c.number <= limit)
        for row in session.execute(query.order_by(rows.c.device, rows.c.pushed_at.desc())):
            found[row.device].append(DeviceWake(**row._mapping))
    return found


def of_call(session: Session, call: str) -> Sequence[DeviceWake]:
    """Whom a call woke, or tried to."""
    query = select(*_COLUMNS).where(Wake.call == call).order_by(Wake.pushed_at, Wake.device)
    return [DeviceWake(**row._mapping) for row in session.execute(query)]


def under_way(session: Session, now: float) -> list[DeviceWake]:
    """The wakes that have not ended and whose deadline is still to come."""
    query = select(*_COLUMNS).where(Wake.deadline > now, Wake.outcome == "")
    return [DeviceWake(**row._mapping) for row in session.execute(query)]


def prune(session: Session, before: float) -> int:
    """Delete the wakes that began before a UNIX time; how many there were."""
    return int(session.execute(delete(Wake).where(Wake.pushed_at < before)).rowcount)  # type: ignore[attr-defined]


def _learn(session: Session, ended: set[str], policy: WaitPolicy) -> None:
    waits = {device: wait_for(wakes, policy) for device, wakes in of_devices(session, ended).items()}
    for some in _portions(sorted(waits)):
        for device in session.scalars(select(Device).where(Device.id.in_(some)).order_by(Device.id)):
            if device.wait != waits[device.id]:
                device.wait = waits[device.id]
                outbox.note(session, outbox.LINE, device.user_id)


def _kept(wake: DeviceWake) -> DeviceWake:
    return replace(
        wake,
        wake=printable(wake.wake, 80),
        device=printable(wake.device, 80),
        call=printable(wake.call, 64),
        provider=printable(wake.provider, 16),
        reason=printable(wake.reason, 500),
    )


def _portions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _DEVICES_AT_ONCE):
        yield names[start : start + _DEVICES_AT_ONCE]
