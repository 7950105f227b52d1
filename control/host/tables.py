"""The SQLite files of Kamailio, empty: its bindings, its media relays, and what its hash tables load when it starts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from control.host.errors import PrepareError, ProgramMissingError
from kemi.wire import (
    TABLE_CONNECTION,
    TABLE_DEVICE,
    TABLE_LINE,
    TABLE_NUMBER,
    TABLE_SUMMARY,
    TABLE_TRUNK,
    TABLE_UPSTREAM,
)

SCHEMA_DIR = Path("/usr/share/kamailio/db_sqlite")
LOADED = (TABLE_DEVICE, TABLE_LINE, TABLE_CONNECTION, TABLE_TRUNK, TABLE_NUMBER)
PROJECTED = (*LOADED, TABLE_UPSTREAM, TABLE_SUMMARY)


def ensure_location(path: Path, schema_dir: Path = SCHEMA_DIR) -> None:
    """Make the table of bindings from Kamailio's own schema, unless it is there."""
    _ensure(path, "location", _schema(schema_dir, "standard") + _schema(schema_dir, "usrloc"))


def ensure_relays(path: Path, schema_dir: Path = SCHEMA_DIR) -> None:
    """Make the table of media relays from Kamailio's own schema, unless it is there."""
    _ensure(path, "rtpengine", _schema(schema_dir, "standard") + _schema(schema_dir, "rtpengine"))


def ensure_projection(path: Path, schema_dir: Path = SCHEMA_DIR) -> None:
    """Make an empty table for each projected hash table, unless they are there. The file will hold HA1s."""
    schema = _schema(schema_dir, "htable")
    # Kamailio's schema file makes one table, `htable`, and notes its version; ours are each like it.
    tables = (schema.replace("CREATE TABLE htable", f"CREATE TABLE {name}") for name in PROJECTED)
    named = (
        text.replace("values ('htable',", f"values ('{name}',")
        for text, name in zip(tables, PROJECTED, strict=True)
    )
    # The agent replaces a document by its key.
    indexes = (f"CREATE UNIQUE INDEX {name}_key_idx ON {name} (key_name);" for name in PROJECTED)
    _ensure(path, PROJECTED[0], "\n".join((_schema(schema_dir, "standard"), *named, *indexes)))


def count_documents(path: Path) -> int:
    """How many documents Kamailio will load from projection.db. Raises PrepareError."""
    try:
        with closing(sqlite3.connect(path)) as database:
            known = {
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            tables = [name for name in LOADED if name in known]
            return sum(database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables)  # noqa: S608
    except sqlite3.Error as error:
        raise PrepareError(f"{path} cannot be read: {error}; move it away to begin anew") from None


def _schema(schema_dir: Path, name: str) -> str:
    path = schema_dir / f"{name}-create.sql"
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        raise ProgramMissingError(
            f"{path} does not exist: kamailio-sqlite-modules is not installed; run scripts/bootstrap"
        ) from None


def _ensure(path: Path, table: str, schema: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    try:
        with closing(sqlite3.connect(path)) as database:
            known = database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            database.execute(
                "PRAGMA journal_mode=WAL"
            )  # stays in the file; Kamailio writes behind, row by row
            if known is None:
                database.executescript(f"BEGIN;\n{schema}\nCOMMIT;")
    except sqlite3.Error as error:
        raise PrepareError(f"{path} cannot be set up: {error}; move it away to begin anew") from None
