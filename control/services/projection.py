"""Database to Kamailio: the documents of its hash tables, built from what is stored, a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from control.domain.aor import aor
from control.domain.targets import Route
from control.domain.wakes import WaitPolicy
from control.services import outbox
from control.services.outbox import Change
from control.services.projection_rows import Resolved, Rows
from control.store.models import Connection, Device, User
from kemi.wire import TABLE_CONNECTION, TABLE_DEVICE, TABLE_LINE, TABLE_NUMBER, TABLE_TRUNK

PAGE = 500  # rows of one query, and documents held at once
PAGED = (TABLE_DEVICE, TABLE_LINE, TABLE_CONNECTION)

Documents = dict[str, dict[str, str]]
_Build = Callable[[Sequence[str]], dict[str, str]]


@dataclass(frozen=True)
class Page:
    """Some documents of one table. ``last`` is what the next page comes after; empty: there is none."""

    documents: dict[str, str]
    last: str


@dataclass(frozen=True)
class Projection:
    """How documents are made: for devices of ``domain``, with connections that lead where ``resolved`` says.

    A connection whose route is not known there has no document: it can neither call nor be called. HA1s are masked by
    ``identity_key``; ``waits`` says how long calls are held.
    """

    domain: str
    resolved: Resolved
    identity_key: bytes
    waits: WaitPolicy = field(default_factory=WaitPolicy)

    def page(self, session: Session, table: str, after: str = "", route: Route | None = None) -> Page:
        """The documents of ``table`` (one of PAGED) after a row; with a route, those of its connections alone."""
        column, build = self._table(session, table)
        query = select(column).where(column > after).order_by(column).limit(PAGE)
        if route is not None:
            query = query.where(*_of(route))
        ids = list(session.scalars(query))
        return Page(build(ids), ids[-1] if len(ids) == PAGE else "")

    def everything(self, session: Session) -> Documents:
        """All documents of all tables at once: for small installations and tests."""
        found: Documents = self.whole(session)
        for table in PAGED:
            found[table], after = {}, ""
            while True:
                page = self.page(session, table, after)
                found[table] |= page.documents
                if not page.last:
                    break
                after = page.last
        return found

    def whole(self, session: Session) -> Documents:
        """The tables ``trunk`` and ``number``. They are small, and told as wholes whenever a trunk has changed."""
        rows = self._rows(session)
        return {TABLE_TRUNK: rows.trunks(), TABLE_NUMBER: rows.numbers()}

    def changed(self, session: Session, changes: Iterable[Change]) -> dict[str, dict[str, str | None]]:
        """The documents in the tables of PAGED that some outbox changes are about; None where there is none now."""
        keys: defaultdict[str, set[str]] = defaultdict(set)
        for change in changes:
            keys[change.kind].add(change.key)
        devices, users, connections = keys[outbox.DEVICE], keys[outbox.LINE], keys[outbox.CONNECTION]
        result: dict[str, dict[str, str | None]] = {
            TABLE_DEVICE: dict.fromkeys(devices),
            TABLE_LINE: dict.fromkeys(aor(user, self.domain) for user in users),
            TABLE_CONNECTION: dict.fromkeys(connections),
        }
        for table, ids in zip(PAGED, (devices, users, connections), strict=True):
            _, build = self._table(session, table)
            for some in _portions(sorted(ids)):
                result[table] |= build(some)
        return result

    def _table(self, session: Session, table: str) -> tuple[InstrumentedAttribute[str], _Build]:
        rows = self._rows(session)
        return {
            TABLE_DEVICE: (Device.id, rows.devices),
            TABLE_LINE: (User.id, rows.lines),
            TABLE_CONNECTION: (Connection.id, rows.connections),
        }[table]

    def _rows(self, session: Session) -> Rows:
        return Rows(session, self.domain, self.resolved, self.identity_key, self.waits)


def routes(session: Session) -> set[Route]:
    """Where the connections lead: what must be looked up for a Projection."""
    columns = (Connection.host, Connection.port, Connection.transport, Connection.outbound_proxy)
    query = select(*columns).where(Connection.host != "", Connection.enabled).distinct()
    return {Route(*row) for row in session.execute(query)}


def connections_of(session: Session, some: Iterable[Route]) -> Iterator[str]:
    """The ids of the enabled connections that lead along these routes."""
    for route in sorted(some):
        yield from session.scalars(select(Connection.id).where(Connection.enabled, *_of(route)))


def _of(route: Route) -> tuple[ColumnElement[bool], ...]:
    return (
        Connection.host == route.host,
        Connection.port == route.port,
        Connection.transport == route.transport,
        Connection.outbound_proxy == route.outbound_proxy,
    )


def _portions(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), PAGE):
        yield ids[start : start + PAGE]
