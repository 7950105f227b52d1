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
from typing import NamedTuple

from control.domain.targets import Located, Route
from control.edge import located_text
from kemi.wire import (
    TABLE_CONNECTION,
    TABLE_DEVICE,
    TABLE_LINE,
    TABLE_NUMBER,
    TABLE_SUMMARY,
    TABLE_TRUNK,
    TABLE_UPSTREAM,
    Refresh,
)

PROJECTED = (TABLE_DEVICE, TABLE_LINE, TABLE_CONNECTION, TABLE_TRUNK, TABLE_NUMBER)
TABLES = (*PROJECTED, TABLE_UPSTREAM, TABLE_SUMMARY)


class Unsent(NamedTuple):
    """A document that Kamailio has not confirmed yet; ``value`` None: it is gone. ``number`` is the note's."""

    number: int
    table: str
    key: str
    value: str | None


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
        """Make these tables hold these documents and no others; how many rows differed."""
        self.begin_replacing()
        count = sum(self.put_page(table, page) for table, page in documents.items())
        return count + self.finish_replacing(documents)

    def begin_replacing(self) -> None:
        """From now on ``put_page`` says what the tables are to hold, until ``finish_replacing``."""
        with self._transaction() as db:
            db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (table_name TEXT, key_name TEXT)")
            db.execute("CREATE UNIQUE INDEX IF NOT EXISTS temp.wanted_key ON wanted (table_name, key_name)")
            db.execute("DELETE FROM wanted")

    def put_page(self, table: str, documents: Mapping[str, str]) -> int:
        """Write some of a table's documents; how many rows differed."""
        with self._transaction() as db:
            db.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?)", [(table, key) for key in documents])
            return _apply(db, table, documents)

    def finish_replacing(self, tables: Iterable[str]) -> int:
        """What no page of these tables held is gone; how many rows that were."""
        count = 0
        with self._transaction() as db:
            for table in tables:
                query = (
                    f"SELECT key_name FROM {_known(table)} WHERE key_name NOT IN"  # noqa: S608
                    " (SELECT key_name FROM wanted WHERE table_name = ?)"
                )
                gone = [str(row[0]) for row in db.execute(query, (table,))]
                count += _apply(db, table, dict.fromkeys(gone))
            db.execute("DELETE FROM wanted")
        return count

    def apply(self, changes: Mapping[str, Mapping[str, str | None]]) -> int:
        """Write changed documents, None for one that is gone; how many rows differed."""
        with self._transaction() as db:
            return sum(_apply(db, table, documents) for table, documents in changes.items())

    def unsent(self, after: int = 0, limit: int = 500) -> list[Unsent]:
        """What Kamailio has not confirmed yet, oldest first; ``after`` is the number of the last one seen."""
        query = "SELECT rowid, table_name, key_name FROM unsent WHERE rowid > ? ORDER BY rowid LIMIT ?"
        notes = self._db.execute(query, (after, limit)).fetchall()
        return [Unsent(number, table, key, self._value(table, key)) for number, table, key in notes]

    def confirm(self, sent: Iterable[Unsent]) -> None:
        """Kamailio has these as they stand here."""
        with self._transaction() as db:
            db.executemany("DELETE FROM unsent WHERE rowid = ?", [(note.number,) for note in sent])

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
        self._keep(TABLE_UPSTREAM, durable, only_missing)

    def keep_summaries(self, notes: Mapping[str, str], *, only_missing: bool = False) -> None:
        """Keep what the PBX last said of mailboxes, by connection; likewise."""
        self._keep(TABLE_SUMMARY, notes, only_missing)

    def _keep(self, table: str, documents: Mapping[str, str], only_missing: bool) -> None:
        if not documents:
            return
        with self._transaction() as db:
            for key, document in documents.items():
                if not only_missing or self._value(table, key) is None:
                    _write(db, table, key, document)

    def refresh_upstream(self, refreshes: Iterable[Refresh]) -> None:
        """Bring what is kept of some registrations up to date, in place. One that is not kept is passed over."""
        rows = [(r.cseq, r.nc, r.due, r.expires_at, r.nonce, r.nonce, r.connection) for r in refreshes]
        if not rows:
            return
        with self._transaction() as db:
            db.executemany(
                "UPDATE upstream SET key_value = json_set(key_value, '$.cseq', ?, '$.nc', ?, '$.due', ?,"
                " '$.expires_at', ?, '$.nonce', iif(? = '', json_extract(key_value, '$.nonce'), ?))"
                " WHERE key_name = ?",
                rows,
            )

    def located(self) -> dict[Route, Located]:
        """Where routes led, as last kept: a dead name server takes no PBX away at our restart."""
        rows = self._db.execute("SELECT route, servers FROM located")
        return {located_text.read_route(route): located_text.read(servers) for route, servers in rows}

    def keep_located(self, located: Mapping[Route, Located]) -> None:
        """Keep these in place of those that were kept."""
        rows = [(located_text.write_route(r), located_text.write(found)) for r, found in located.items()]
        with self._transaction() as db:
            db.execute("DELETE FROM located")
            db.executemany("INSERT INTO located VALUES (?, ?)", rows)

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
    db.execute("DROP TABLE IF EXISTS address")  # of the first version
    db.execute("CREATE TABLE IF NOT EXISTS located (route TEXT PRIMARY KEY NOT NULL, servers TEXT NOT NULL)")
    for table in TABLES:
        db.execute(_SCHEMA.format(table=table))
        db.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {table}_key ON {table} (key_name)")
        if db.execute("SELECT 1 FROM version WHERE table_name = ?", (table,)).fetchone() is None:
            db.execute(
                "INSERT INTO version (table_name, table_version) VALUES (?, ?)", (table, _HTABLE_VERSION)
            )


def _apply(db: sqlite3.Connection, table: str, documents: Mapping[str, str | None]) -> int:
    count = 0
    for key, value in documents.items():
        if _write(db, table, key, value):
            count += 1
            db.execute("INSERT OR IGNORE INTO unsent VALUES (?, ?)", (table, key))
    return count


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
