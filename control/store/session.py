"""The way into the database: a ``Store`` per process, which gives ``read()`` and ``write()`` sessions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from control.domain.secret import Secret
from control.store.seal import Seal

SEAL_KEY_FILE = Path("secrets/seal.key")
_SEAL_LOCK = 7216203  # any number that nothing else locks
_BUSY_MS = 5000  # how long a SQLite writer waits for another


class Store:
    """A database and the seal for what is secret in it. Safe to share between threads; a session is not."""

    def __init__(self, url: str, seal: Seal) -> None:
        self.engine = create_store_engine(url)
        self._seal = seal

    @classmethod
    def open(cls, url: str, home: Path) -> Store:
        """The store of an installation: its database URL and home folder. Raises SealKeyMissingError.

        Nothing is connected yet: a database that is down shows at the first session.
        """
        return cls(url, Seal.read(seal_key_file(home, os.environ)))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database and leaves nothing behind."""
        with self._session() as session:
            yield session
            session.rollback()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed when the block ends, and rolled back when it raises.

        On SQLite it holds the one write lock from the start: a transaction that only turns into a writer
        half-way is refused at once if another has written since, whatever the busy timeout is.
        """
        with self._session() as session:
            session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            yield session
            session.commit()

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()

    def _session(self) -> Session:
        return Session(self.engine, expire_on_commit=False, info={"seal": self._seal})


def seal_of(session: Session) -> Seal:
    """The seal that belongs to a session's store."""
    seal = session.info["seal"]
    assert isinstance(seal, Seal)  # noqa: S101  a session that was not made by a Store is a mistake in the code
    return seal


def sealed(session: Session, secret: Secret) -> str:
    """A secret sealed with the newest key, to be stored in this transaction. Raises SealKeyMissingError."""
    # Whoever rotates the keys waits for the transactions that may hold a value of the old key. On SQLite they have the
    # one write lock already.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _SEAL_LOCK})
    return seal_of(session).close(secret)


def wait_for_sealing(session: Session) -> None:
    """Return when every transaction that has sealed something before now is over. Within ``Store.write()``."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SEAL_LOCK})


def seal_key_file(home: Path, environment: Mapping[str, str]) -> Path:
    """The file of the seal's keys: systemd's credential ``seal.key`` where there is one, else below the home folder."""
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    given = Path(credentials) / SEAL_KEY_FILE.name if credentials else None
    return given if given is not None and given.exists() else home / SEAL_KEY_FILE


def create_store_engine(url: str) -> Engine:
    """An engine with what the store relies on: on SQLite WAL, foreign keys, and real transactions."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    engine = create_engine(parsed)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; _begin_sqlite does
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")


def upgrade(url: str) -> None:
    """Bring the database to this version's schema, creating it if need be. Raises DatabaseVersionError.

    Several processes may do so at once: the migrations run under a lock, and the second finds them done.
    """
    # Alembic takes a third of a second to load, and only this needs it.
    from control.store.migration import migrate  # noqa: PLC0415

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_store_engine(url)
    try:
        with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            migrate(connection)
    finally:
        engine.dispose()
