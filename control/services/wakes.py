"""The wakes of devices: written by the edge agents at each stage, read for statistics and for how a device stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache

from sqlalchemy import BindParameter, Executable, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from control.domain.text import all_printable
from control.domain.wakes import CALL, REMEMBERED, DeviceWake, WaitPolicy, wait_for
from control.services import outbox
from control.store.models import Device, Wake

_NAMES = [field.name for field in fields(DeviceWake)]
_COLUMNS = [getattr(Wake, name) for name in _NAMES]
_KEY = ("wake", "device")
_DEVICES_AT_ONCE = 500  # of one query's parameters
_LIMITS = {"wake": 80, "device": 80, "call": 64, "provider": 16, "reason": 500, "purpose": 16}


def _latest() -> Executable:
    """The last ``limit`` wakes for calls of each of ``devices``, the newest first."""
    table = Wake.__table__.c
    devices: BindParameter[str] = bindparam("devices", expanding=True)
    number = func.row_number().over(partition_by=table.device, order_by=table.pushed_at.desc())
    rows = select(*(table[name] for name in _NAMES), number.label("number"))
    rows = rows.where(table.device.in_(devices), table.purpose == CALL)
    found = rows.subquery().c
    query = select(*(found[name] for name in _NAMES)).where(found.number <= bindparam("limit"))
    return query.order_by(found.device, found.pushed_at.desc())


# Made once: building a statement costs more than running it, and a batch is written many times a second.
_LATEST = _latest()
_WAITS = (
    select(Device.id, Device.wait)
    .where(Device.id.in_(bindparam("devices", expanding=True)))
    .order_by(Device.id)
)


def record(session: Session, seen: Iterable[DeviceWake], policy: WaitPolicy) -> None:
    """Write how far these wakes have come, in the order in which they were seen; a later one takes the place of an earlier.

    Where that changes how long a call is to be held for a device, its line is projected anew.
    """
    latest = {(wake.wake, wake.device): wake for wake in seen}
    if not latest:
        return
    kept = [all_printable(wake, _LIMITS) for wake in latest.values()]
    # In one order everywhere, so that two agents cannot wait for each other.
    kept.sort(key=lambda wake: (wake.wake, wake.device))
    values = [{name: getattr(wake, name) for name in _NAMES} for wake in kept]
    session.connection().execute(_upsert(session.get_bind().dialect.name), values)
    _learn(session, {wake.device for wake in kept if wake.outcome and wake.teaches}, policy)


def of_devices(
    session: Session, devices: Iterable[str], limit: int = REMEMBERED
) -> Mapping[str, Sequence[DeviceWake]]:
    """The last wakes for calls of each of these devices, the newest first; a device that had none is absent."""
    found: defaultdict[str, list[DeviceWake]] = defaultdict(list)
    for some in _portions(sorted(set(devices))):
        for row in session.connection().execute(_LATEST, {"devices": some, "limit": limit}):
            found[row.device].append(DeviceWake(*row))
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
        known = session.connection().execute(_WAITS, {"devices": some})
        for changed in [row.id for row in known if row.wait != waits[row.id]]:
            device = session.get_one(Device, changed)
            device.wait = waits[changed]
            outbox.note(session, outbox.LINE, device.user_id)


@cache
def _upsert(dialect: str) -> Executable:
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    insert = make(Wake.__table__)  # type: ignore[arg-type]
    updated = {name: insert.excluded[name] for name in _NAMES if name not in _KEY}
    return insert.on_conflict_do_update(index_elements=_KEY, set_=updated)


def _portions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _DEVICES_AT_ONCE):
        yield names[start : start + _DEVICES_AT_ONCE]
