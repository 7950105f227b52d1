"""state/projection.db: what Kamailio's hash tables load by themselves at its start, and what it was not told yet.

A change is written here first, together with a note that Kamailio must still be told; the note goes away
when Kamailio has confirmed. So whoever dies in between, the next one knows what is left to do.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kemi.wire import TABLE_CONNECTION, TABLE_DEVICE, TABLE_LINE, TABLE_UPSTREAM

PROJECTED = (TABLE_DEVICE, TABLE_LINE, TABLE_CONNECTION)
TABLES = (*PROJECTED, TABLE_UPSTREAM)

Key = tuple[str, str]  # table, key

# htable reads each column by its name; the version is checked by the table's name (Kamailio htable, dbtable).
_HTABLE_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS {table} (
    id INTEGER PRIMARY KEY NOT NULL,
    key_name VARCHAR(255) DEFAULT '' NOT NULL,
    key_type INTEGER DEFAULT 0 NOT NULL,
    value_type INTEGER DEFAULT 0 NOT NULL,
    key_value TEXT DEFAULT '' NOT NULL,
    expires INTEGER DEFAULT 0 NOT NULL
)
"""


class ProjectionDb:
    """The file, created (mode 0600) or completed when opened. Each call is one short transaction.

    Not safe to share between threads at the same time; raises sqlite3.Error.
    """

    def __init__(self, path: Path) -> None:
        # An existing file is not opened here: closing it would free the locks of SQLite in this process.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        path.chmod(0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        # Kamailio may load while this writes: in WAL mode a reader is never locked out.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        with self._transaction() as db:
            _create(db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def replace_all(self, documents: Mapping[str, Mapping[str, str]]) -> int:
        """Make the tables hold these documents and no others; how many rows differed."""
        changes: dict[str, dict[str, str | None]] = {}
        for table, wanted in documents.items():
            held = self.documents(table)
            gone: dict[str, str | None] = dict.fromkeys(held.keys() - wanted.keys())
            changes[table] = gone | {key: value for key, value in wanted.items() if held.get(key) != value}
        return self.apply(changes)

    def apply(self, changes: Mapping[str, Mapping[str, str | None]]) -> int:
        """Write changed documents, None for one that is gone; how many rows differed."""
        count = 0
        with self._transaction() as db:
            for table, documents in changes.items():
                for key, value in documents.items():
                    if _write(db, table, key, value):
                        count += 1
                        db.execute("INSERT OR IGNORE INTO unsent VALUES (?, ?)", (table, key))
        return count

    def unsent(self) -> dict[Key, str | None]:
        """What Kamailio has not confirmed yet: the document by table and key, None for one that is gone."""
        notes = self._db.execute("SELECT table_name, key_name FROM unsent ORDER BY rowid").fetchall()
        return {(table, key): self._value(table, key) for table, key in notes}

    def confirm(self, sent: Iterable[Key]) -> None:
        """Kamailio has these as they stand here."""
        with self._transaction() as db:
            db.executemany("DELETE FROM unsent WHERE table_name = ? AND key_name = ?", list(sent))

    def tell_again(self, table: str) -> None:
        """Kamailio must be told the whole table anew."""
        with self._transaction() as db:
            db.execute(f"INSERT OR IGNORE INTO unsent SELECT '{_known(table)}', key_name FROM {table}")  # noqa: S608

    def count(self, table: str) -> int:
        """How many documents a table holds."""
        row = self._db.execute(f"SELECT count(*) FROM {_known(table)}").fetchone()  # noqa: S608
        return int(row[0])

    def documents(self, table: str) -> dict[str, str]:
        """All documents of a table."""
        return dict(self._db.execute(f"SELECT key_name, key_value FROM {_known(table)}"))  # noqa: S608

    def keep_upstream(self, durable: Mapping[str, str], *, only_missing: bool = False) -> None:
        """Keep what the registrar needs to go on after Kamailio's restart. Kamailio itself knows it: no note."""
        with self._transaction() as db:
            for connection, document in durable.items():
                if not only_missing or self._value(TABLE_UPSTREAM, connection) is None:
                    _write(db, TABLE_UPSTREAM, connection, document)

    def addresses(self) -> dict[str, list[str]]:
        """The IP addresses of PBX hosts, as last kept: a dead name server takes no PBX away at our restart."""
        return {str(host): str(found).split() for host, found in self._db.execute("SELECT * FROM address")}

    def keep_addresses(self, addresses: Mapping[str, Iterable[str]]) -> None:
        """Keep these in place of those that were kept."""
        with self._transaction() as db:
            db.execute("DELETE FROM address")
            db.executemany(
                "INSERT INTO address VALUES (?, ?)", [(h, " ".join(a)) for h, a in addresses.items()]
            )

    def _value(self, table: str, key: str) -> str | None:
        query = f"SELECT key_value FROM {_known(table)} WHERE key_name = ?"  # noqa: S608
        row = self._db.execute(query, (key,)).fetchone()
        return None if row is None else str(row[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _known(table: str) -> str:
    if table not in TABLES:
        raise ValueError(f"no such table: {table!r}")
    return table


def _create(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE IF NOT EXISTS version"
        " (table_name VARCHAR(32) NOT NULL, table_version INTEGER DEFAULT 0 NOT NULL)"
    )
    db.execute(
        "CREATE TABLE IF NOT EXISTS unsent"
        " (table_name TEXT NOT NULL, key_name TEXT NOT NULL, UNIQUE (table_name, key_name))"
    )
    db.execute("CREATE TABLE IF NOT EXISTS address (host TEXT PRIMARY KEY NOT NULL, addresses TEXT NOT NULL)")
    for table in TABLES:
        db.execute(_SCHEMA.format(table=table))
        db.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {table}_key ON {table} (key_name)")
        if db.execute("SELECT 1 FROM version WHERE table_name = ?", (table,)).fetchone() is None:
            db.execute("INSERT INTO version VALUES (?, ?)", (table, _HTABLE_VERSION))


def _write(db: sqlite3.Connection, table: str, key: str, value: str | None) -> bool:
    if value is None:
        query = f"DELETE FROM {_known(table)} WHERE key_name = ?"  # noqa: S608
        return db.execute(query, (key,)).rowcount > 0
    query = (
        f"INSERT INTO {_known(table)} (key_name, key_value) VALUES (?, ?)"  # noqa: S608
        " ON CONFLICT (key_name) DO UPDATE SET key_value = excluded.key_value"
        " WHERE key_value <> excluded.key_value"
    )
    return db.execute(query, (key, value)).rowcount > 0
