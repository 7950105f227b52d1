"""The database behind the edge agent's ports: what the projector reads and what the recorder writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from control.domain.errors import DomainError
from control.domain.journal import Step
from control.domain.mailbox import Mailbox
from control.domain.push import PushToken, PushTrouble
from control.domain.reminder import Reminder
from control.domain.targets import Route
from control.domain.wakes import DeviceWake, WaitPolicy
from control.edge.errors import LedgerUnavailableError
from control.edge.projector import Changes, Where
from control.edge.recorder import (
    Entry,
    MediaMeasured,
    RelaySeen,
    ReminderOver,
    ReminderWanted,
    TokenCorrected,
    TokenDied,
    TokenQuarantined,
    TokensBrought,
    UpstreamSeen,
    VoicemailTold,
    WakeTestOver,
)
from control.services import (
    alarms,
    connections,
    heartbeat,
    journal,
    mailboxes,
    outbox,
    projection,
    registrations,
    reminders,
    tokens,
    upstream,
    wake_tests,
    wakes,
)
from control.services.projection import Page, Projection
from control.settings import JournalSettings
from control.store.session import Store
from kemi.wire import RefreshEvent, RegisterEvent, VoicemailEvent

log = structlog.get_logger(__name__)

# One entry cannot be kept: too large a number, a realm that cannot be answered, a row the database refuses.
_REFUSED = (SQLAlchemyError, DomainError, ValueError, OverflowError)


_DAY_S = 86_400.0
OUTBOX_KEPT_S = _DAY_S  # an agent that was away for longer reads everything anyway


class DatabaseLedger:
    """One store, for ``domain``; HA1s in documents are masked by ``identity_key``. For use by one thread at a time.

    ``counters`` counts ``refused`` entries.
    """

    def __init__(self, store: Store, domain: str, identity_key: bytes, waits: WaitPolicy) -> None:
        self._store = store
        self._waits = waits
        self._domain = domain
        self._identity_key = identity_key
        self.counters: Counter[str] = Counter()

    # ----------------------------------------------------------------------------------------- reading

    def head(self) -> int:
        """The last row of the outbox."""
        with self._read() as session:
            return outbox.latest(session)

    def routes(self) -> set[Route]:
        """Where the connections lead, to be looked up."""
        with self._read() as session:
            return projection.routes(session)

    def tokens(self) -> Mapping[str, Sequence[PushToken]]:
        """All push tokens by device id."""
        with self._read() as session:
            return tokens.tokens_of(session)

    def page(self, where: Where, table: str, after: str = "", route: Route | None = None) -> Page:
        """Documents of a table after a row; with a route, those of its connections alone."""
        with self._read() as session:
            return self._projection(where).page(session, table, after, route)

    def whole(self, where: Where) -> Mapping[str, Mapping[str, str]]:
        """The tables that are told as wholes."""
        with self._read() as session:
            return self._projection(where).whole(session)

    def since(self, head: int, where: Where) -> Changes | None:
        """What changed after a row of the outbox; None if nothing did."""
        with self._read() as session:
            if outbox.latest(session) <= head:
                return None
            made, changes = self._projection(where), outbox.since(session, head)
            documents = made.changed(session, changes)
            devices = {change.key for change in changes if change.kind in (outbox.TOKEN, outbox.DEVICE)}
            held = tokens.tokens_of(session, *devices) if devices else {}
            found = {device: held.get(device, []) for device in devices}
            trunks = any(change.kind == outbox.TRUNK for change in changes)
            whole = made.whole(session) if trunks else {}
            wake_wanted = any(change.kind == outbox.WAKE for change in changes)
            retries = {change.key for change in changes if change.kind == outbox.RETRY}
            return Changes(changes[-1].id, documents, found, whole, wake_wanted, retries)

    def wakes_under_way(self, now: float) -> list[DeviceWake]:
        """Which devices have been pushed to for calls that may still be held."""
        with self._read() as session:
            return wakes.under_way(session, now)

    def reminders(self, now: float) -> list[Reminder]:
        """Which devices are to be reminded of their binding."""
        with self._read() as session:
            return reminders.pending(session, now)

    def upstream(self, after: str = "") -> dict[str, str]:
        """Some of the registrar's durable state by connection id after one, as last recorded; empty: that was all."""
        with self._read() as session:
            return upstream.durable(session, after, limit=projection.PAGE)

    def mailboxes(self) -> Mapping[str, str]:
        """What was last said of the connections' mailboxes, by connection id, as Kamailio notes it."""
        with self._read() as session:
            return mailboxes.notes(session)

    def _projection(self, where: Where) -> Projection:
        return Projection(self._domain, where, self._identity_key, self._waits)

    # ----------------------------------------------------------------------------------------- writing

    def write(self, entries: Sequence[Entry]) -> None:
        """Write all entries in one transaction; if one cannot be kept, each in one of its own."""
        try:
            with self._write() as session:
                _write(session, entries, self._waits)
        except _REFUSED as error:
            log.warning("journal-batch-split", entries=len(entries), error=_said(error))
            for entry in entries:
                self._write_alone(entry)

    def _write_alone(self, entry: Entry) -> None:
        try:
            with self._write() as session:
                _write(session, [entry], self._waits)
        except _REFUSED as error:
            self.counters["refused"] += 1
            log.error("entry-refused", entry=type(entry).__name__, error=_said(error))

    def take_tests(self, now: float) -> Sequence[wake_tests.Wanted]:
        """Take in hand the test calls that are wanted."""
        with self._write() as session:
            return wake_tests.take(session, now)

    def beat(self, at: float, detail: Mapping[str, object]) -> None:
        """Say that the edge agent is alive."""
        with self._write() as session:
            heartbeat.beat(session, heartbeat.EDGE, at, detail)

    def place(self, nowhere: Iterable[Route], at: float) -> None:
        """Connections along these routes, and no others, have a PBX that cannot be found."""
        with self._read() as session:
            news = upstream.misplaced(session, list(projection.connections_of(session, nowhere)))
        if news:
            with self._write() as session:
                upstream.place(session, list(projection.connections_of(session, nowhere)), at)

    def prune(self, now: float, kept: JournalSettings) -> None:
        """Forget what is older than is to be kept, and what every agent has read. ``now`` is UNIX seconds."""
        steps: tuple[tuple[Callable[[Session, float], int], float], ...] = (
            (outbox.prune, OUTBOX_KEPT_S),
            (journal.prune, kept.keep_days * _DAY_S),
            (wakes.prune, kept.keep_days * _DAY_S),
            (registrations.prune, kept.register_log_days * _DAY_S),
            (alarms.prune, kept.alarm_days * _DAY_S),
            (tokens.prune, kept.token_days * _DAY_S),
            (reminders.prune, 0.0),
            (wake_tests.prune, kept.keep_days * _DAY_S),
        )
        for prune, seconds in steps:
            with self._write() as session:  # others may write in between
                prune(session, now - seconds)

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


def _write(session: Session, entries: Sequence[Entry], waits: WaitPolicy) -> None:
    journal.record(session, [entry for entry in entries if isinstance(entry, Step)])
    wakes.record(session, [entry for entry in entries if isinstance(entry, DeviceWake)], waits)
    registrations.record(
        session, [_registered(e) for e in entries if isinstance(e, RegisterEvent | VoicemailTold)]
    )
    # In one go: what became of one connection is told by both kinds, and the order matters.
    upstream.record(session, [report for entry in entries for report in _reports(entry)])
    for entry in entries:
        match entry:
            case RelaySeen(name, at, True):
                alarms.clear(session, alarms.MEDIA_RELAY_DOWN, at, name)
            case RelaySeen(name, at, False, why):
                text = f"The media relay {name} does not answer; new calls take the others, if there are any: {why}"
                alarms.sound(session, alarms.MEDIA_RELAY_DOWN, name, text, at)
            case MediaMeasured(call, at, quality):
                journal.record_quality(session, call, at, quality)
            case VoicemailEvent(at, connection, new, _, old, waiting):
                mailboxes.record(session, connection, Mailbox(connection, waiting, new, old, at))
            case TokensBrought(device, brought, at):
                tokens.store_tokens(session, device, brought, at)
            case TokenDied(device, token, _, known_at):
                tokens.drop_token(session, device, token, known_at)
            case ReminderWanted(reminder):
                reminders.want(session, reminder)
            case ReminderOver(device):
                reminders.forget(session, device)
            case TokenQuarantined(device, token, _, at):
                tokens.quarantine(session, device, token, at)
            case TokenCorrected(device, token, _, environment):
                tokens.correct_environment(session, device, token, environment)
            case PushTrouble(provider, app, at, text):
                subject = f"{provider} {app}"
                if text:
                    alarms.sound(session, alarms.PUSH_MISCONFIGURED, subject, text, at)
                else:
                    alarms.clear(session, alarms.PUSH_MISCONFIGURED, at, subject)
            case WakeTestOver(test, at):
                wake_tests.over(session, test, at)
            case UpstreamSeen(event, True):
                connections.learn_realm(session, event.connection, event.realm)


def _reports(entry: Entry) -> list[upstream.Upstream]:
    match entry:
        case UpstreamSeen():
            return [_upstream(entry)]
        case RefreshEvent():
            return _refreshed(entry)
    return []


def _registered(event: RegisterEvent | VoicemailTold) -> registrations.Registered:
    if isinstance(event, VoicemailTold):
        return registrations.Registered(event.at, event.device, event.done, event.code, event.reason)
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


def _refreshed(event: RefreshEvent) -> list[upstream.Upstream]:
    return [
        upstream.Upstream(
            connection=refresh.connection,
            at=event.ts,
            state="registered",
            code=200,
            reason="OK",
            expires=int(refresh.expires_at - event.ts),
            rtt_ms=refresh.rtt_ms,
            due=refresh.due,
            quiet=True,
        )
        for refresh in event.each()
    ]


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
        why=event.why,
        due=event.due,
    )
