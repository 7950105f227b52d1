"""The database behind the edge agent's ports: what the projector reads and what the recorder writes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from control.domain.errors import DomainError
from control.domain.journal import Step
from control.edge.errors import LedgerUnavailableError
from control.edge.projector import Addresses, Changes
from control.edge.recorder import Entry, TokenDied, TokensBrought, UpstreamSeen
from control.services import (
    connections,
    heartbeat,
    journal,
    outbox,
    projection,
    registrations,
    tokens,
    upstream,
)
from control.store.session import Store
from kemi.wire import RegisterEvent

log = structlog.get_logger(__name__)

# One entry cannot be kept: too large a number, a realm that cannot be answered, a row the database refuses.
_REFUSED = (SQLAlchemyError, DomainError, ValueError, OverflowError)


class DatabaseLedger:
    """One store, for ``domain``. For use by one thread at a time. ``counters`` counts ``refused`` entries."""

    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain
        self.counters: Counter[str] = Counter()

    # ----------------------------------------------------------------------------------------- reading

    def hosts(self) -> set[str]:
        """Names of PBX hosts to be resolved."""
        with self._read() as session:
            return projection.hosts(session)

    def everything(self, addresses: Addresses) -> Changes:
        """All documents and tokens, and the outbox's last row before they were read."""
        with self._read() as session:
            head = outbox.latest(session)
            documents = projection.documents(session, self._domain, addresses)
            return Changes(head, documents, tokens.tokens_of(session), complete=True)

    def since(self, head: int, addresses: Addresses) -> Changes | None:
        """What changed after a row of the outbox; None if nothing did."""
        with self._read() as session:
            if outbox.latest(session) <= head:
                return None
            changes = outbox.since(session, head)
            documents = projection.changed(session, self._domain, addresses, changes)
            devices = {change.key for change in changes if change.kind in (outbox.TOKEN, outbox.DEVICE)}
            held = tokens.tokens_of(session, *devices) if devices else {}
            found = {device: held.get(device, []) for device in devices}
            return Changes(changes[-1].id, documents, found, complete=False)

    def upstream(self) -> dict[str, str]:
        """The registrar's durable state by connection id, as last recorded."""
        with self._read() as session:
            return upstream.durable(session)

    # ----------------------------------------------------------------------------------------- writing

    def write(self, entries: Sequence[Entry]) -> None:
        """Write all entries in one transaction; if one cannot be kept, each in one of its own."""
        try:
            with self._write() as session:
                _write(session, entries)
        except _REFUSED as error:
            log.warning("journal-batch-split", entries=len(entries), error=_said(error))
            for entry in entries:
                self._write_alone(entry)

    def _write_alone(self, entry: Entry) -> None:
        try:
            with self._write() as session:
                _write(session, [entry])
        except _REFUSED as error:
            self.counters["refused"] += 1
            log.error("entry-refused", entry=type(entry).__name__, error=_said(error))

    def beat(self, at: float, detail: Mapping[str, object]) -> None:
        """Say that the edge agent is alive."""
        with self._write() as session:
            heartbeat.beat(session, heartbeat.EDGE, at, detail)

    def prune(self, before: float) -> None:
        """Forget the outbox's rows older than a UNIX time: every agent has read them."""
        with self._write() as session:
            outbox.prune(session, before)

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with _availability(), self._store.read() as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with _availability(), self._store.write() as session:
            yield session


@contextmanager
def _availability() -> Iterator[None]:
    """A database that is away or locked is told from a row that cannot be kept."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise LedgerUnavailableError(f"the database does not answer: {_said(error)}") from error


def _said(error: Exception) -> str:
    """What the driver said, without the statement and its values: those may be tokens."""
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)


def _write(session: Session, entries: Sequence[Entry]) -> None:
    by_kind: defaultdict[type[Entry], list[Entry]] = defaultdict(list)
    for entry in entries:
        by_kind[type(entry)].append(entry)
    for kind, of_kind in by_kind.items():
        if kind in _BULK:
            _BULK[kind](session, of_kind)
    for entry in entries:
        match entry:
            case TokensBrought(device, brought, at):
                tokens.store_tokens(session, device, brought, at)
            case TokenDied(device, token, _, known_at):
                tokens.drop_token(session, device, token.token, known_at)
            case UpstreamSeen(event, True):
                connections.learn_realm(session, event.connection, event.realm)


def _write_steps(session: Session, entries: Sequence[Entry]) -> None:
    journal.record(session, [entry for entry in entries if isinstance(entry, Step)])


def _write_registrations(session: Session, entries: Sequence[Entry]) -> None:
    registrations.record(session, [_registered(e) for e in entries if isinstance(e, RegisterEvent)])


def _write_upstreams(session: Session, entries: Sequence[Entry]) -> None:
    upstream.record(session, [_upstream(e) for e in entries if isinstance(e, UpstreamSeen)])


_BULK: dict[type[Entry], Callable[[Session, Sequence[Entry]], None]] = {
    Step: _write_steps,
    RegisterEvent: _write_registrations,
    UpstreamSeen: _write_upstreams,
}


def _registered(event: RegisterEvent) -> registrations.Registered:
    return registrations.Registered(
        at=event.ts,
        device_id=event.device,
        action=event.action,
        reply=event.reply,
        reason=event.reason,
        contact=event.contact,
        expires=event.expires,
        source=event.source,
        user_agent=event.user_agent,
        instance=event.instance,
    )


def _upstream(entry: UpstreamSeen) -> upstream.Upstream:
    event = entry.event
    return upstream.Upstream(
        connection=event.connection,
        at=event.ts,
        state=event.state,
        code=event.code,
        reason=event.reason,
        expires=event.expires,
        rtt_ms=event.rtt_ms,
        durable=event.durable,
    )
