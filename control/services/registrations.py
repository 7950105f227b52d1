"""The register log: each answered REGISTER of each device here, and of each connection at its PBX, in runs of equal ones."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from control.domain import register_log
from control.domain.register_log import Attempt, Run
from control.domain.text import printable
from control.store.models import Registration

# A push token is an address of the person who carries the phone; the log says only that there was one.
_TOKENS = re.compile(r"((?:pn-prid|pn-tok)=)[^;>\s]*", re.IGNORECASE)
_LIMITS = {"state": 32, "why": 32}
_SUBJECTS_AT_ONCE = 500  # of one query's parameters
_BOUND = ("added", "refreshed")  # the states of a device that has a binding


@dataclass(frozen=True)
class Registered:
    """One answered REGISTER of a device; the fields of ``kemi.wire.RegisterEvent``. ``at`` is UNIX time in seconds."""

    at: float
    device_id: str
    action: str
    reply: int
    reason: str = ""
    contact: str = ""
    expires: int = 0
    source: str = ""
    user_agent: str = ""
    instance: str = ""


def record(session: Session, attempts: Iterable[Attempt | Registered]) -> None:
    """Add to the log; what is equal to the newest run of its subject makes that run longer. Told twice is kept once.

    Push tokens in Contacts are masked (P7).
    """
    by_subject: defaultdict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in map(_kept, attempts):
        by_subject[attempt.side, attempt.subject].append(attempt)
    longer: list[dict[str, Any]] = []
    new: list[Run] = []
    newest = _newest(session, by_subject)
    for key, told in by_subject.items():
        row, run = newest.get(key, (0, None))
        fresh = [
            a for a in told if run is None or a.at > run.last.at or run.holds(a) or not _told(session, a)
        ]
        runs = register_log.grouped(run, fresh)
        if run is not None:
            if runs[0] != run:
                longer.append({"key": row, **_measures(runs[0])})
            del runs[0]
        new += runs
    if longer:
        names = [name for name in longer[0] if name != "key"]
        table = Registration.__table__
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        statement = update(table).where(table.c.id == bindparam("key")).values(values)  # type: ignore[arg-type]
        session.connection().execute(
            statement, [{"key": v["key"], **{f"new_{n}": v[n] for n in names}} for v in longer]
        )
    if new:
        new.sort(key=lambda run: run.first_at)
        session.execute(insert(Registration), [_row(run) for run in new])


def of_device(session: Session, device_id: str, limit: int = 50) -> Sequence[Run]:
    """The newest runs of a device first."""
    return _latest(session, [(register_log.DEVICE, device_id)], limit)


def of_connection(session: Session, connection_id: str, limit: int = 50) -> Sequence[Run]:
    """The newest runs of a connection first: its registrations at the PBX, and the PBX's own here."""
    sides = [(register_log.PBX, connection_id), (register_log.DEVICE, connection_id)]
    return _latest(session, sides, limit)


def last(session: Session, device_id: str, limit: int = 20) -> Sequence[Registered]:
    """The newest answers to a device first, one of each run."""
    return [
        Registered(
            at=run.last.at,
            device_id=run.last.subject,
            action=run.last.state,
            reply=run.last.code,
            reason=run.last.reason,
            contact=run.last.contact,
            expires=run.last.expires,
            source=run.last.source,
            user_agent=run.last.user_agent,
            instance=run.last.instance,
        )
        for run in of_device(session, device_id, limit)
    ]


def bound_until(session: Session, devices: Iterable[str]) -> dict[str, float]:
    """Until when each device's binding lasts, in UNIX seconds; one that is not there, or not any more, is absent."""
    found: dict[str, float] = {}
    for some in _portions(sorted(set(devices))):
        ids = select(func.max(Registration.id)).where(
            Registration.side == register_log.DEVICE,
            Registration.subject.in_(some),
            Registration.state.in_((*_BOUND, "removed", "lost")),
        )
        columns = (Registration.subject, Registration.state, Registration.last_at, Registration.expires)
        query = select(*columns).where(Registration.id.in_(ids.group_by(Registration.subject)))
        for row in session.execute(query):
            if row.state in _BOUND:
                found[row.subject] = row.last_at + row.expires
    return found


def prune(session: Session, before: float) -> int:
    """Delete the runs that ended before a UNIX time; how many there were."""
    return int(session.execute(delete(Registration).where(Registration.last_at < before)).rowcount)  # type: ignore[attr-defined]


def _newest(session: Session, subjects: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, Run]]:
    found: dict[tuple[str, str], tuple[int, Run]] = {}
    by_side: defaultdict[str, list[str]] = defaultdict(list)
    for side, subject in subjects:
        by_side[side].append(subject)
    for side, names in by_side.items():
        for some in _portions(names):
            ids = select(func.max(Registration.id)).where(
                Registration.side == side, Registration.subject.in_(some)
            )
            query = select(Registration).where(Registration.id.in_(ids.group_by(Registration.subject)))
            # Always as the database has it: an earlier batch was written past the session.
            for row in session.scalars(query.execution_options(populate_existing=True)):
                found[side, row.subject] = row.id, _run(row)
    return found


def _told(session: Session, attempt: Attempt) -> bool:
    """Whether an attempt older than the newest run is in the log already."""
    query = select(Registration).where(
        Registration.side == attempt.side,
        Registration.subject == attempt.subject,
        Registration.first_at <= attempt.at,
        Registration.last_at >= attempt.at,
    )
    return any(_run(row).holds(attempt) for row in session.scalars(query))


def _latest(session: Session, keys: Sequence[tuple[str, str]], limit: int) -> Sequence[Run]:
    wanted = or_(*((Registration.side == side) & (Registration.subject == subject) for side, subject in keys))
    query = select(Registration).where(wanted).order_by(Registration.last_at.desc(), Registration.id.desc())
    rows = session.scalars(query.limit(limit).execution_options(populate_existing=True))
    return [_run(row) for row in rows]


def _portions(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _SUBJECTS_AT_ONCE):
        yield names[start : start + _SUBJECTS_AT_ONCE]


def _kept(entry: Attempt | Registered) -> Attempt:
    attempt = entry if isinstance(entry, Attempt) else _attempt(entry)
    texts: dict[str, Any] = {
        name: printable(value, _LIMITS.get(name, 500))
        for name, value in attempt.__dict__.items()
        if isinstance(value, str)
    }
    texts["contact"] = printable(_TOKENS.sub(r"\1***", attempt.contact), 500)
    return replace(attempt, **texts)


def _attempt(entry: Registered) -> Attempt:
    return Attempt(
        side=register_log.DEVICE,
        subject=entry.device_id,
        at=entry.at,
        state=entry.action,
        code=entry.reply,
        reason=entry.reason,
        contact=entry.contact,
        source=entry.source,
        user_agent=entry.user_agent,
        instance=entry.instance,
        expires=entry.expires,
    )


def _run(row: Registration) -> Run:
    attempt = Attempt(
        side=row.side,
        subject=row.subject,
        at=row.last_at,
        state=row.state,
        code=row.code,
        reason=row.reason,
        why=row.why,
        contact=row.contact,
        source=row.source,
        user_agent=row.user_agent,
        instance=row.instance,
        expires=row.expires,
    )
    return Run(attempt, row.first_at, row.count, row.rtt_min, row.rtt_sum, row.rtt_max)


def _measures(run: Run) -> dict[str, Any]:
    return {
        "last_at": run.last.at,
        "count": run.count,
        "expires": run.last.expires,
        "rtt_min": run.rtt_min,
        "rtt_sum": run.rtt_sum,
        "rtt_max": run.rtt_max,
    }


def _row(run: Run) -> dict[str, Any]:
    last = run.last
    return {
        **_measures(run),
        "side": last.side,
        "subject": last.subject,
        "first_at": run.first_at,
        "state": last.state,
        "code": last.code,
        "reason": last.reason,
        "why": last.why,
        "contact": last.contact,
        "source": last.source,
        "user_agent": last.user_agent,
        "instance": last.instance,
    }
