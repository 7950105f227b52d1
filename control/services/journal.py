"""The journal of calls: written in batches by the edge agents, read by the pages and the command line."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, Row, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from control.domain.errors import AmbiguousError, NotFoundError
from control.domain.journal import UNDER_WAY, CallFilter, CallHead, Step, fold, read_cursor
from control.domain.quality import Heard, Leg, Obstacle, Quality, Side
from control.domain.story import Story, tell
from control.domain.text import all_printable, printable
from control.store.models import Call, CallAudio, CallStep, Connection

LATEST = "latest"
EVERY_CALL = CallFilter()
_REASON_LIMIT = 500
_HEAD = [field.name for field in fields(CallHead)]
_HEAD_COLUMNS = [getattr(Call, name) for name in _HEAD]

_LIMITS = {
    "call": 64,
    "step": 32,
    "device": 80,
    "provider": 16,
    "direction": 4,
    "connection": 64,
    **dict.fromkeys(("aor", "caller", "callee", "sip_call_id", "reason"), _REASON_LIMIT),
}

# Made once: building a statement costs more than running it, and a batch is written many times a second.
_CALLS = Call.__table__.c
_HEADS_OF = (
    select(*(_CALLS[name] for name in _HEAD))
    .where(_CALLS.call.in_(bindparam("calls", expanding=True)))
    .order_by(_CALLS.call)
    .with_for_update()
)
_UPDATE_HEAD = (
    update(Call.__table__)  # type: ignore[arg-type]
    .where(_CALLS.call == bindparam("key"))
    .values({name: bindparam(name) for name in _HEAD if name != "call"})
)


def record(session: Session, steps: Iterable[Step]) -> None:
    """Write a batch of steps. The same step told twice is written once, and late ones fall into place."""
    by_call: defaultdict[str, dict[tuple[object, ...], Step]] = defaultdict(dict)
    for told in steps:
        step = all_printable(told, _LIMITS)
        by_call[step.call].setdefault((step.at, step.step, step.device, step.provider), step)
    if not by_call:
        return
    # In one order everywhere, so that two agents that write of the same calls cannot wait for each other.
    calls = sorted(by_call)
    new = [
        fold(CallHead(call, min(s.at for s in by_call[call].values())), by_call[call].values())
        for call in calls
    ]
    _insert_missing(session, Call, [_head_values(head) for head in new])
    connection, changed = session.connection(), []
    for row in connection.execute(_HEADS_OF, {"calls": calls}):
        head = _head(row)
        after = fold(head, by_call[head.call].values())
        if after != head:
            changed.append({"key" if name == "call" else name: v for name, v in _head_values(after).items()})
    if changed:
        connection.execute(_UPDATE_HEAD, changed)
    _insert_missing(
        session, CallStep, [_step_values(step) for call in calls for step in by_call[call].values()]
    )


def record_quality(session: Session, call: str, at: float, quality: Quality) -> None:
    """Write how the audio of a call was, that ended at ``at`` (UNIX seconds). Told twice, the first time counts."""
    head = CallHead(printable(call, 64), at)
    _insert_missing(session, Call, [_head_values(head)])
    _insert_missing(session, CallAudio, [_leg_values(head.call, leg) for leg in quality.legs])


def find(session: Session, reference: str) -> CallHead:
    """The call that is meant: its reference, the beginning of it, a SIP Call-ID, or ``latest``.

    Raises NotFoundError, AmbiguousError.
    """
    if reference == LATEST:
        heads = latest(session, 1)
        if not heads:
            raise NotFoundError("there has been no call yet")
        return heads[0]
    query = select(*_HEAD_COLUMNS).order_by(Call.started_at.desc()).limit(3)
    exact = query.where((Call.call == reference) | (Call.sip_call_id == reference))
    # One Call-ID may stand for two calls if a device was called and called on: the newest is meant.
    found = session.execute(exact).all()[:1]
    if not found and reference:
        found = session.execute(query.where(Call.call.startswith(reference, autoescape=True))).all()
    if not found:
        raise NotFoundError(f"there is no call {printable(reference, 80)!r} in the journal")
    if len(found) > 1:
        raise AmbiguousError(f"{reference!r} is the beginning of several calls; give more of it")
    return _head(found[0])


def story(session: Session, reference: str) -> Story:
    """The story of a call, named as for ``find``. Raises NotFoundError, AmbiguousError."""
    head = find(session, reference)
    rows = session.scalars(select(CallStep).where(CallStep.call == head.call).order_by(CallStep.at)).all()
    return tell(
        head,
        [
            Step(row.call, row.at, row.step, row.device, row.provider, code=row.code, reason=row.reason)
            for row in rows
        ],
        _quality(session, head.call),
    )


def latest(
    session: Session, limit: int = 50, cursor: str = "", wanted: CallFilter = EVERY_CALL
) -> Sequence[CallHead]:
    """The newest calls first, of those that are wanted; ``cursor`` is where a page before has ended.

    Raises InvalidFieldError.
    """
    query = select(*_HEAD_COLUMNS).order_by(Call.started_at.desc(), Call.call).limit(limit)
    if cursor:
        began, call = read_cursor(cursor)
        query = query.where(or_(Call.started_at < began, and_(Call.started_at == began, Call.call > call)))
    return [_head(row) for row in session.execute(query.where(*_conditions(wanted)))]


def _conditions(wanted: CallFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.since:
        yield Call.started_at >= wanted.since
    if wanted.outcome:
        yield Call.outcome == ("" if wanted.outcome == UNDER_WAY else wanted.outcome)
    if wanted.connection:
        named = select(Connection.id).where(Connection.name == wanted.connection)
        yield or_(Call.connection == wanted.connection, Call.connection.in_(named))
    if wanted.device:
        yield Call.call.in_(select(CallStep.call).where(CallStep.device == wanted.device))


def size(session: Session, call: str) -> tuple[int, int]:
    """How much is known of a call, by its full reference: a number of steps, and of sides whose audio was measured."""
    steps = select(func.count()).where(CallStep.call == call).scalar_subquery()
    audio = select(func.count()).where(CallAudio.call == call).scalar_subquery()
    found = session.execute(select(steps, audio)).one()
    return int(found[0]), int(found[1])


def prune(session: Session, before: float) -> int:
    """Delete the calls that began before a UNIX time, with their steps; how many there were."""
    return int(session.execute(delete(Call).where(Call.started_at < before)).rowcount)  # type: ignore[attr-defined]


def _insert_missing(
    session: Session, model: type[Call | CallStep | CallAudio], values: list[dict[str, Any]]
) -> None:
    session.connection().execute(_missing(session.get_bind().dialect.name, model), values)


@cache
def _missing(dialect: str, model: type[Call | CallStep | CallAudio]) -> Executable:
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return make(model.__table__).on_conflict_do_nothing()  # type: ignore[arg-type]


def _head(row: Row[Any]) -> CallHead:
    return CallHead(*row)  # type: ignore[call-arg]  # in the order of _HEAD


def _head_values(head: CallHead) -> dict[str, Any]:
    return dict(head.__dict__)


def _step_values(step: Step) -> dict[str, Any]:
    return {
        "call": step.call,
        "at": step.at,
        "step": step.step,
        "device": step.device,
        "provider": step.provider,
        "code": step.code,
        "reason": step.reason,
    }


def _quality(session: Session, call: str) -> Quality | None:
    rows = {row.side: row for row in session.scalars(select(CallAudio).where(CallAudio.call == call))}
    legs = [_leg(side, rows[side]) for side in Side if side in rows]
    return Quality(*legs) if len(legs) == len(Side) else None


def _leg(side: Side, row: CallAudio) -> Leg:
    heard = json.loads(row.heard) if row.heard else None
    if heard is not None:
        heard = Heard(**heard | {"course": tuple(heard["course"])})
    return Leg(side, row.packets, row.codec, row.quiet, row.sends, heard, Obstacle(row.obstacle))


def _leg_values(call: str, leg: Leg) -> dict[str, Any]:
    return {
        "call": call,
        "side": leg.side.value,
        "packets": leg.packets,
        "codec": printable(leg.codec, 64),
        "quiet": leg.quiet,
        "sends": leg.sends,
        "heard": json.dumps(asdict(leg.heard), separators=(",", ":")) if leg.heard else "",
        "obstacle": leg.obstacle.value,
    }
