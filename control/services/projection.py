"""Database to Kamailio: the documents of its hash tables, built from what is stored, a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from control.domain.aor import aor
from control.domain.connection import is_address
from control.domain.targets import Hop, Located, Route
from control.services import outbox
from control.services.outbox import Change
from control.services.projection_rows import Resolved, Rows
from control.store.models import Connection, Device, User
from kemi.wire import TABLE_CONNECTION, TABLE_DEVICE, TABLE_LINE, TABLE_NUMBER, TABLE_TRUNK

PAGE = 500  # rows of one query, and documents held at once

Documents = dict[str, dict[str, str]]
Addresses = Mapping[str, Sequence[str]]  # {host: IP addresses, the preferred one first}


def documents(
    session: Session, domain: str, resolve: Addresses | Resolved, identity_key: bytes = b""
) -> Documents:
    """All documents at once: {table: {key: JSON}} for the tables ``device``, ``line`` and ``connection``."""
    found: Documents = {TABLE_DEVICE: {}, TABLE_LINE: {}, TABLE_CONNECTION: {}}
    for table, page in pages(session, domain, resolve, identity_key):
        found[table] |= page
    return found


def pages(
    session: Session, domain: str, resolve: Addresses | Resolved, identity_key: bytes = b""
) -> Iterator[tuple[str, dict[str, str]]]:
    """All documents, page by page: (table, {key: JSON}).

    ``resolve`` says where each of ``routes()`` leads. A connection whose route it does not know has no document: it can
    neither call nor be called.
    """
    rows = Rows(session, domain, _located(session, resolve), identity_key)
    builders: tuple[_Builder, ...] = (
        (TABLE_DEVICE, Device.id, rows.devices),
        (TABLE_LINE, User.id, rows.lines),
        (TABLE_CONNECTION, Connection.id, rows.connections),
    )
    for table, column, build in builders:
        for ids in _all_ids(session, column):
            yield table, build(ids)


def whole(
    session: Session, domain: str, resolve: Addresses | Resolved, identity_key: bytes = b""
) -> Documents:
    """The tables ``trunk`` and ``number``. They are small, and told as wholes whenever a trunk has changed."""
    rows = Rows(session, domain, _located(session, resolve), identity_key)
    return {TABLE_TRUNK: rows.trunks(), TABLE_NUMBER: rows.numbers()}


def changed(
    session: Session,
    domain: str,
    resolve: Addresses | Resolved,
    changes: Iterable[Change],
    identity_key: bytes = b"",
) -> dict[str, dict[str, str | None]]:
    """The documents that some outbox changes are about, as ``documents``; None where there is none now."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for change in changes:
        keys[change.kind].add(change.key)
    devices, users, connections = keys[outbox.DEVICE], keys[outbox.LINE], keys[outbox.CONNECTION]
    result: dict[str, dict[str, str | None]] = {
        TABLE_DEVICE: dict.fromkeys(devices),
        TABLE_LINE: dict.fromkeys(aor(user, domain) for user in users),
        TABLE_CONNECTION: dict.fromkeys(connections),
    }
    rows = Rows(session, domain, _located(session, resolve), identity_key)
    for table, ids, build in (
        (TABLE_DEVICE, devices, rows.devices),
        (TABLE_LINE, users, rows.lines),
        (TABLE_CONNECTION, connections, rows.connections),
    ):
        for some in _portions(sorted(ids)):
            result[table] |= build(some)
    return result


def routes(session: Session) -> set[Route]:
    """Where the connections lead: what must be looked up for ``resolve``."""
    columns = (Connection.host, Connection.port, Connection.transport, Connection.outbound_proxy)
    query = select(*columns).where(Connection.host != "", Connection.enabled).distinct()
    return {Route(*row) for row in session.execute(query)}


def hosts(session: Session) -> set[str]:
    """The names (not the IP addresses) that must be resolved for the connections."""
    return {route.host for route in routes(session) if not is_address(route.host)}


_Builder = tuple[str, InstrumentedAttribute[str], Callable[[Sequence[str]], dict[str, str]]]


def _all_ids(session: Session, column: InstrumentedAttribute[str]) -> Iterator[list[str]]:
    last = ""
    while ids := list(session.scalars(select(column).where(column > last).order_by(column).limit(PAGE))):
        yield ids
        last = ids[-1]


def _portions(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), PAGE):
        yield ids[start : start + PAGE]


def _located(session: Session, resolve: Addresses | Resolved) -> Resolved:
    """Where routes lead by the addresses of their hosts alone; an answer by route is taken as it is."""
    by_route = {
        key: value for key, value in resolve.items() if isinstance(value, Located) and isinstance(key, Route)
    }
    by_host = {key: value for key, value in resolve.items() if not isinstance(value, Located)}
    found: dict[Route, Located] = dict(by_route)
    for route in routes(session):
        if route in found:
            continue
        known = [route.host] if is_address(route.host) else [str(a) for a in by_host.get(route.host, ())]
        port = route.port or (5061 if route.transport == "tls" else 5060)
        hops = tuple(Hop(address, port, route.transport, order) for order, address in enumerate(known))
        if hops:
            found[route] = Located(hops, tuple(known))
    return found
