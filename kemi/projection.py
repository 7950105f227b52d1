"""What the edge agent keeps for us in projection.db, read when Kamailio starts: row by row, before any message is taken.

The hash tables could load it themselves, but Kamailio's loader holds a whole table in private memory, which every process then
inherits, and with too little of it 100,000 rows are lost without a word.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing

from kemi import ksr, wire
from kemi.settings import SettingsError

_LOADED = (
    wire.TABLE_DEVICE,
    wire.TABLE_LINE,
    wire.TABLE_CONNECTION,
    wire.TABLE_TRUNK,
    wire.TABLE_NUMBER,
    wire.TABLE_SUMMARY,
)


def load(path: str) -> int:
    """Fill the hash tables; how many documents there were. Raises SettingsError when they do not fit, or cannot be read."""
    count = 0
    for table in _LOADED:
        for key, value in rows(path, table):
            if not ksr.table_put(table, key, value):
                raise SettingsError(
                    f"Kamailio's shared memory is full after {count} documents of {path}: "
                    "raise edge.shared_memory_mb in nightbell.toml (kamailio -m)"
                )
            count += 1
    return count


def rows(path: str, table: str) -> Iterator[tuple[str, str]]:
    """Keys and values of one table of the file; nothing when the file has no such table."""
    try:
        with closing(_open(path)) as database:
            if _has(database, table):
                yield from database.execute(f'SELECT key_name, key_value FROM "{table}"')  # noqa: S608 - our own names
    except sqlite3.Error as error:
        raise SettingsError(
            f"{path} cannot be read: {error}; `nightbell up` makes it, the edge agent fills it"
        ) from None


class Kept:
    """What the registrations were before the start, one look at a time. Without a file, or with an unreadable one: nothing."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._closing = ExitStack()

    def __enter__(self) -> Kept:
        if self._path:
            try:
                database = self._closing.enter_context(closing(_open(self._path)))
                self._database = database if _has(database, wire.TABLE_UPSTREAM) else None
            except sqlite3.Error as error:
                ksr.log_error(f"{self._path}: {error}; every connection is registered anew")
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def upstream(self, connection: str) -> str:
        """The UpstreamDoc of a connection, as JSON, ``""`` when there is none."""
        if self._database is None:
            return ""
        query = "SELECT key_value FROM upstream WHERE key_name = ?"
        found = self._database.execute(query, (connection,)).fetchone()
        return str(found[0]) if found else ""


def _open(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)


def _has(database: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return database.execute(query, (table,)).fetchone() is not None
