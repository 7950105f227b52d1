"""The edge agent's ledger on a real database: what one bad entry, and a database that is away, cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from control.domain.connection import ConnectionSpec
from control.domain.journal import Step
from control.domain.push import PushToken
from control.domain.secret import Secret
from control.domain.targets import Hop, Located
from control.domain.wakes import WaitPolicy
from control.edge.errors import LedgerUnavailableError
from control.edge.main.ledger import DatabaseLedger
from control.edge.recorder import TokenDied, TokensBrought, UpstreamSeen
from control.services import alarms, connections, journal, people, registrations, upstream
from control.services.installation import initialise
from control.settings import JournalSettings
from control.store.models import CallStep, Registration
from control.store.session import Store
from kemi.wire import ConnectionDoc, RefreshEvent, RegisterEvent, UpstreamEvent

DOMAIN = "nightbell.test"
KEY = bytes(range(32))
TOKEN = PushToken("apns", "org.example.phone.voip", "production", "aa11")


@pytest.fixture
def ledger(store: Store) -> DatabaseLedger:
    return DatabaseLedger(store, DOMAIN, KEY, WaitPolicy())


@pytest.fixture
def device(store: Store) -> str:
    with store.write() as session:
        people.add_user(session, "alice")
        return people.add_device(session, "alice", "phone", DOMAIN)[0].id


def test_one_entry_that_cannot_be_kept_costs_no_other(ledger: DatabaseLedger, store: Store) -> None:
    ledger.write(
        [Step("call-1", 1.0, "ringing"), Step("call-1", 2.0, "x", code=1 << 80), Step("call-1", 3.0, "bye")]
    )
    with store.read() as session:
        assert list(session.scalars(select(CallStep.step).order_by(CallStep.at))) == ["ringing", "bye"]
    assert ledger.counters["refused"] == 1


def test_a_database_that_is_away_is_told_from_a_bad_entry(tmp_path: Path) -> None:
    initialise(tmp_path, f"sqlite:///{tmp_path}/control.db")
    ledger = DatabaseLedger(
        Store.open(f"sqlite:///{tmp_path}/nowhere/control.db", tmp_path), DOMAIN, KEY, WaitPolicy()
    )
    with pytest.raises(LedgerUnavailableError, match="does not answer"):
        ledger.write([Step("call-1", 1.0, "ringing")])


def test_tokens_come_and_go_and_the_outbox_tells(ledger: DatabaseLedger, device: str) -> None:
    head = ledger.head()
    ledger.write([TokensBrought(device, (TOKEN,), 100.0, 1)])
    changes = ledger.since(head, {})
    assert changes is not None
    assert changes.tokens == {device: [TOKEN]}
    assert '"push":true' in (changes.documents["line"][f"sip:alice@{DOMAIN}"] or "")
    ledger.write([TokenDied(device, TOKEN, 2, known_at=200.0)])
    changes = ledger.since(changes.head, {})
    assert changes is not None
    assert changes.tokens == {device: []}
    assert changes.retries == set()
    assert ledger.since(changes.head, {}) is None


def test_p2_a_token_that_was_brought_after_it_was_known_dead_stays(
    ledger: DatabaseLedger, device: str
) -> None:
    ledger.write([TokensBrought(device, (TOKEN,), 100.0, 1), TokenDied(device, TOKEN, 2, known_at=50.0)])
    assert ledger.tokens() == {device: [TOKEN]}


def test_r3_a_realm_is_learned_and_changes_the_connections_document(
    ledger: DatabaseLedger, store: Store, device: str
) -> None:
    with store.write() as session:
        spec = ConnectionSpec("pbx", "192.0.2.1", "1002", Secret("pa55word"), users=("alice",))
        connection = connections.add_connection(session, spec).id
    head = ledger.head()
    event = UpstreamEvent(ts=1.0, connection=connection, state="registering", realm="asterisk", durable="{}")
    ledger.write([UpstreamSeen(event, learn=True)])
    where = {route: Located((Hop("192.0.2.1", 5060, "udp"),), ("192.0.2.1",)) for route in ledger.routes()}
    changes = ledger.since(head, where)
    assert changes is not None
    document = ConnectionDoc.decode(changes.documents["connection"][connection] or "")
    assert document.realm == "asterisk"
    assert document.ha1_md5
    assert ledger.upstream() == {connection: "{}"}


def test_refreshes_and_changes_of_one_batch_are_kept_in_their_order(
    ledger: DatabaseLedger, store: Store
) -> None:
    with store.write() as session:
        spec = ConnectionSpec("pbx", "192.0.2.1", "1002", Secret("pa55word"))
        connection = connections.add_connection(session, spec).id

    def said(ts: float, state: str, code: int) -> UpstreamSeen:
        return UpstreamSeen(UpstreamEvent(ts=ts, connection=connection, state=state, code=code), learn=False)

    ledger.write(
        [
            said(100.0, "registered", 200),
            RefreshEvent(400.0, [[connection, 8, 2, 700.0, 1000.0, "", 1.5]]),
            said(700.0, "refused", 403),
            said(800.0, "registered", 200),
            RefreshEvent(1100.0, [[connection, 10, 2, 1400.0, 1700.0, "", 1.5]]),
        ]
    )
    with store.read() as session:
        runs = registrations.of_connection(session, connection)
        assert [(run.last.state, run.count) for run in runs] == [
            ("registered", 2),
            ("refused", 1),
            ("registered", 2),
        ]
        assert upstream.states(session)[connection].due == 1400.0


def test_p7_the_register_log_holds_no_token(ledger: DatabaseLedger, store: Store, device: str) -> None:
    contact = "sip:alice@192.0.2.9;pn-provider=apns;pn-prid=aa11bb22"
    ledger.write([RegisterEvent(ts=1.0, device=device, action="added", reply=200, contact=contact)])
    with store.read() as session:
        kept = session.scalars(select(Registration.contact)).one()
    assert "aa11bb22" not in kept


def test_a_connection_that_leads_nowhere_is_said_to_and_so_is_its_return(
    ledger: DatabaseLedger, store: Store
) -> None:
    with store.write() as session:
        for name in ("here", "there"):
            spec = ConnectionSpec(name, f"{name}.example", "1002", Secret("pa55word"))
            connections.add_connection(session, spec)
        here = connections.get_connection(session, "here").id

    def whys() -> dict[str, str]:
        with store.read() as session:
            return {connection: state.why for connection, state in upstream.states(session).items()}

    lost = {route for route in ledger.routes() if route.host == "here.example"}
    ledger.place(lost, 100.0)
    ledger.place(lost, 130.0)
    assert whys() == {here: "unresolvable"}
    with store.read() as session:
        assert [run.count for run in registrations.of_connection(session, here)] == [1]
    ledger.place(set(), 160.0)
    assert whys() == {here: ""}


def test_what_is_older_than_the_settings_say_is_forgotten(ledger: DatabaseLedger, store: Store) -> None:
    day = 86_400.0
    now = 1_000 * day
    kept = JournalSettings(keep_days=10, register_log_days=5, alarm_days=20)
    ledger.write([Step("old", now - 11 * day, "invite-in"), Step("new", now - 9 * day, "invite-in")])
    ledger.write(
        [
            RegisterEvent(ts=now - 6 * day, device="old", action="added", reply=200),
            RegisterEvent(ts=now - 4 * day, device="new", action="added", reply=200),
        ]
    )
    with store.write() as session:
        for subject, at in (("old", now - 21 * day), ("new", now - 19 * day)):
            alarms.sound(session, "k", subject, "text", at)
            alarms.clear(session, "k", at, subject)
    ledger.prune(now, kept)
    with store.read() as session:
        assert [head.call for head in journal.latest(session)] == ["new"]
        assert [not registrations.of_device(session, d) for d in ("old", "new")] == [True, False]
        assert [alarm.subject for alarm in alarms.latest(session, cleared=True)] == ["new"]
