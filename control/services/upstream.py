"""How the connections stand at their PBXs, as Kamailio's registrar reports it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.domain.text import printable
from control.store.models import Connection, UpstreamState


@dataclass(frozen=True)
class Upstream:
    """The state of one registration; the fields of ``kemi.wire.UpstreamEvent``. ``at`` is UNIX seconds."""

    connection: str
    at: float
    state: str
    code: int = 0
    reason: str = ""
    expires: int = 0
    rtt_ms: float = 0.0
    durable: str = ""


def record(session: Session, states: Iterable[Upstream]) -> None:
    """Keep the newest state of each connection. One that was removed meanwhile is passed over."""
    newest: dict[str, Upstream] = {}
    for state in states:
        if state.connection not in newest or newest[state.connection].at <= state.at:
            newest[state.connection] = state
    known = set(session.scalars(select(Connection.id).where(Connection.id.in_(newest))))
    rows = {
        row.connection_id: row
        for row in session.scalars(select(UpstreamState).where(UpstreamState.connection_id.in_(newest)))
    }
    for connection in sorted(known):
        state = newest[connection]
        row = rows.get(connection) or UpstreamState(connection_id=connection, changed_at=0.0, durable="")
        if row.changed_at > state.at:
            continue
        row.state, row.code, row.reason = printable(state.state, 64), state.code, printable(state.reason, 500)
        row.expires, row.rtt_ms, row.changed_at = state.expires, state.rtt_ms, state.at
        row.durable = state.durable or row.durable
        session.add(row)
    session.flush()


def states(session: Session) -> dict[str, Upstream]:
    """The state of each connection that has one."""
    return {
        row.connection_id: Upstream(
            row.connection_id,
            row.changed_at,
            row.state,
            row.code,
            row.reason,
            row.expires,
            row.rtt_ms,
            row.durable,
        )
        for row in session.scalars(select(UpstreamState))
    }


def durable(session: Session) -> dict[str, str]:
    """Table ``upstream`` for Kamailio's start: {connection id: UpstreamDoc as JSON}."""
    query = select(UpstreamState.connection_id, UpstreamState.durable).where(UpstreamState.durable != "")
    return {row.connection_id: row.durable for row in session.execute(query)}
