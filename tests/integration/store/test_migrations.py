"""A database of an earlier version is brought up to date with everything in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text

from control.domain.push import PushToken
from control.services import alarms, connections, people, registrations, tokens, upstream
from control.store import migration
from control.store.models import StoredToken
from control.store.seal import Seal
from control.store.session import Store, create_store_engine, upgrade

_SCRIPTS = Path(migration.__file__).parent / "migrations"

_ROWS = (
    "INSERT INTO users VALUES ('alice', 'Alice', 1.0)",
    'INSERT INTO connections (id, name, host, port, transport, domain, "user", auth_user, password, realm,'
    " realm_fixed, expires, register, media, early_ringing, wait, revision, created_at) VALUES"
    " ('c1', 'office', 'pbx', 5060, 'udp', 'pbx', '1002', '1002', 'sealed', 'asterisk', {no}, 600, {yes}, 'relay',"
    " {yes}, 20.0, 3, 1.0)",
    "INSERT INTO devices (id, user_id, name, ha1, connection_id, created_at)"
    " VALUES ('alice-x', 'alice', 'Phone', 'sealed', 'c1', 1.0)",
    "INSERT INTO push_tokens (device_id, provider, kind, app, environment, token, stored_at)"
    " VALUES ('alice-x', 'apns', 'voip', 'org.example.voip', 'production', 'aa11', 30.0)",
    "INSERT INTO connection_users VALUES ('c1', 'alice')",
    "INSERT INTO upstream_states (connection_id, state, code, reason, expires, rtt_ms, durable, changed_at)"
    " VALUES ('c1', 'registered', 200, 'OK', 600, 1.5, '{{}}', 50.0)",
    "INSERT INTO registrations (at, device_id, action, reply, reason, contact, expires, source, user_agent, instance)"
    " VALUES (10.0, 'alice-x', 'added', 200, 'OK', '<sip:a>', 600, '192.0.2.1', 'x', '')",
    "INSERT INTO registrations (at, device_id, action, reply, reason, contact, expires, source, user_agent, instance)"
    " VALUES (20.0, 'alice-x', 'refreshed', 200, 'OK', '<sip:a>', 600, '192.0.2.1', 'x', '')",
)


@pytest.fixture
def first_version(url: str, kind: str) -> str:
    """A database as the first version left it, with a row of each kind."""
    if kind == "sqlite":
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    _migrate(url, "0001")
    yes, no = ("true", "false") if kind == "postgresql" else ("1", "0")
    engine = create_store_engine(url)
    with engine.begin() as connection:
        for row in _ROWS:
            connection.execute(text(row.format(yes=yes, no=no)))
    engine.dispose()
    return url


def _migrate(url: str, revision: str) -> None:
    engine = create_store_engine(url)
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
        config.attributes["connection"] = connection
        step = command.upgrade if revision != "down" else command.downgrade
        step(config, "0001" if revision == "down" else revision)
    engine.dispose()


def test_nothing_is_lost_on_the_way_from_the_first_version(first_version: str) -> None:
    upgrade(first_version)
    store = Store(first_version, Seal([Seal.new_key()]))
    with store.read() as session:
        office = connections.get_connection(session, "office")
        assert (office.strategy, office.enabled, office.outbound_proxy, office.revision) == (
            "always",
            True,
            "",
            3,
        )
        assert [user.id for user in office.users] == ["alice"]
        assert people.get_device(session, "alice-x").connection_id == "c1"
        state = upstream.states(session)["c1"]
        assert (state.state, state.since, state.durable) == ("registered", 50.0, "{}")
        assert [run.last.at for run in registrations.of_device(session, "alice-x")] == [20.0, 10.0]
        assert alarms.count(session) == 0
        known = PushToken("apns", "org.example.voip", "production", "aa11")
        assert tokens.tokens_of(session) == {"alice-x": [known]}
        assert session.scalars(select(StoredToken.digest)).all() == [known.digest]
    store.close()


def test_the_way_back_keeps_what_the_first_version_knew(first_version: str) -> None:
    upgrade(first_version)
    _migrate(first_version, "down")
    engine = create_store_engine(first_version)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM registrations")).scalar() == 2
        assert connection.execute(text("SELECT user_id FROM connection_users")).scalar() == "alice"
        assert connection.execute(text("SELECT state FROM upstream_states")).scalar() == "registered"
    engine.dispose()
