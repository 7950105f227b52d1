"""Runs the migrations in ``migrations/`` on a connection that is in a transaction of its own."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from control.store.errors import DatabaseVersionError

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 7216201  # any number that nothing else locks


def migrate(connection: Connection) -> None:
    """Bring a database to the newest schema. Raises DatabaseVersionError if it is newer than this version."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    _refuse_newer(connection, config)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_newer(connection: Connection, config: Config) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise DatabaseVersionError(
            f"the database has schema {current}, which this version of Nightbell does not know; "
            "it was made by a newer version: install that one"
        )
