"""How the connections stand at their PBXs, as Kamailio's registrar reports it: state, register log, alarms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.domain import register_log
from control.domain.register_log import Attempt
from control.domain.registration_phrases import REGISTERED, STOPPED, UNRESOLVABLE, Standing, advice
from control.domain.text import printable
from control.services import alarms, registrations
from control.store.models import Connection, UpstreamState

_AT_ONCE = 1000  # connections of one query
QUIET_LATE_S = 2.0  # refreshes are told together, so much later than they happened at most


@dataclass(frozen=True)
class Upstream:
    """A report on one registration; the fields of ``kemi.wire.UpstreamEvent``. ``at`` and ``due`` are UNIX seconds.

    ``since``, when this state began, is only read: it follows from the reports.
    """

    connection: str
    at: float
    state: str
    code: int = 0
    reason: str = ""
    expires: int = 0
    rtt_ms: float = 0.0
    durable: str = ""
    why: str = ""
    due: float = 0.0
    since: float = 0.0
    quiet: bool = False  # a refresh, told with others: nothing is news but the time


def record(session: Session, reports: Iterable[Upstream]) -> None:
    """Keep the newest state of each connection, every change in the register log, and an alarm for one that has stopped.

    A connection that was removed meanwhile is passed over.
    """
    by_connection: defaultdict[str, list[Upstream]] = defaultdict(list)
    for report in sorted(reports, key=lambda report: report.at):
        by_connection[report.connection].append(report)
    names = sorted(by_connection)
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        _record(session, [report for name in some for report in by_connection[name]])


def _record(session: Session, told: list[Upstream]) -> None:
    named = {report.connection for report in told}
    known = set(session.scalars(select(Connection.id).where(Connection.id.in_(named))))
    rows = {
        row.connection_id: row
        for row in session.scalars(select(UpstreamState).where(UpstreamState.connection_id.in_(known)))
    }
    kept = _without_stale((report for report in told if report.connection in known), rows)
    newest = {report.connection: report for report in kept}
    durables = {report.connection: report.durable for report in kept if report.durable}
    registrations.record(session, (_attempt(report) for report in kept))
    recovered: list[str] = []
    for connection in sorted(newest):
        report = newest[connection]
        row = rows.get(connection)
        if row is None:
            row = UpstreamState(
                connection_id=connection, changed_at=0.0, since=0.0, durable="", state="", why=""
            )
            session.add(row)
        if row.changed_at > report.at:
            continue
        before = row.state
        _keep(row, report)
        row.durable = durables.get(connection, row.durable)
        if report.state == STOPPED:
            _alarm(session, connection, report)
        elif before == STOPPED:
            recovered.append(connection)
    session.flush()
    if recovered:
        alarms.clear(session, alarms.REGISTRATION_STOPPED, max(newest[c].at for c in recovered), *recovered)


def states(session: Session) -> dict[str, Upstream]:
    """The state of each connection that has one."""
    return {
        row.connection_id: Upstream(
            connection=row.connection_id,
            at=row.changed_at,
            state=row.state,
            code=row.code,
            reason=row.reason,
            expires=row.expires,
            rtt_ms=row.rtt_ms,
            durable=row.durable,
            why=row.why,
            due=row.due,
            since=row.since,
        )
        for row in session.scalars(select(UpstreamState))
    }


def standing(row: Connection, states: Mapping[str, Upstream], now: float) -> Standing:
    """A connection and its registration at a UNIX time, for the words of both."""
    state = states.get(row.id) or Upstream(row.id, 0.0, "")
    return Standing(
        name=row.name,
        user=row.user,
        domain=row.domain,
        host=row.host,
        transport=row.transport,
        strategy=row.strategy,
        register=row.register,
        inbound=bool(row.inbound_ha1),
        enabled=row.enabled,
        state=state.state,
        why=state.why,
        code=state.code,
        reason=state.reason,
        lapsed=state.at + state.expires < now,
    )


def durable(session: Session, after: str = "", limit: int | None = None) -> dict[str, str]:
    """Table ``upstream`` for Kamailio's start: {connection id: UpstreamDoc as JSON}, in the order of the ids."""
    query = select(UpstreamState.connection_id, UpstreamState.durable).where(UpstreamState.durable != "")
    query = query.where(UpstreamState.connection_id > after).order_by(UpstreamState.connection_id)
    return {row.connection_id: row.durable for row in session.execute(query.limit(limit))}


def misplaced(session: Session, nowhere: Iterable[str]) -> bool:
    """Whether ``place`` would have something to say."""
    lost, known = _lost(session, nowhere)
    return lost != known


def place(session: Session, nowhere: Iterable[str], at: float) -> None:
    """These connections, and no others, have a PBX whose name has no address. ``at`` is UNIX seconds."""
    lost, known = _lost(session, nowhere)
    reports = [
        Upstream(connection, at, "unreachable", reason="the host has no address", why=UNRESOLVABLE)
        for connection in sorted(lost - known)
    ]
    reports += [Upstream(connection, at, "new") for connection in sorted(known - lost)]
    if reports:
        record(session, reports)


def _without_stale(reports: Iterable[Upstream], rows: Mapping[str, UpstreamState]) -> list[Upstream]:
    """Without the quiet refreshes that happened before a change that was told before them."""
    changed = {c: row.changed_at for c, row in rows.items() if row.state != REGISTERED}
    kept = []
    for report in reports:
        if report.quiet and report.at - changed.get(report.connection, -QUIET_LATE_S) < QUIET_LATE_S:
            continue
        if report.state == REGISTERED:
            changed.pop(report.connection, None)
        else:
            changed[report.connection] = report.at
        kept.append(report)
    return kept


def _lost(session: Session, nowhere: Iterable[str]) -> tuple[set[str], set[str]]:
    marked = select(UpstreamState.connection_id).where(UpstreamState.why == UNRESOLVABLE)
    return set(nowhere), set(session.scalars(marked))


def _keep(row: UpstreamState, report: Upstream) -> None:
    state, why = printable(report.state, 64), printable(report.why, 32)
    if (row.state, row.why) != (state, why):
        row.since = report.at
    if not (report.quiet and row.state == state):
        row.code, row.reason = report.code, printable(report.reason, 500)
    row.state, row.why = state, why
    row.expires, row.rtt_ms, row.due = report.expires, report.rtt_ms, report.due
    row.changed_at = report.at


def _alarm(session: Session, connection: str, report: Upstream) -> None:
    row = session.get(Connection, connection)
    if row is not None and row.enabled:
        text = advice(standing(row, {connection: report}, report.at)) or "the PBX has refused too often"
        alarms.sound(
            session,
            alarms.REGISTRATION_STOPPED,
            connection,
            f"{row.name} does not try to register any more. {text}",
            report.at,
        )


def _attempt(report: Upstream) -> Attempt:
    return Attempt(
        side=register_log.PBX,
        subject=report.connection,
        at=report.at,
        state=report.state,
        code=report.code,
        reason=report.reason,
        why=report.why,
        expires=report.expires,
        rtt_ms=report.rtt_ms,
        quiet=report.quiet,
    )
