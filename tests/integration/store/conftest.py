"""Each test here runs twice: on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.orm import Session

from control.store.seal import Seal
from control.store.session import Store, upgrade
from tests.fixtures.postgres import PostgresServer, postgres

__all__ = ["postgres"]

SQLITE, POSTGRESQL = "sqlite", "postgresql"


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if kind == SQLITE:
        return _sqlite(tmp_path / "state/control.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with this version's tables, to be copied: migrating for each test is what would take the time."""
    path = tmp_path_factory.mktemp("migrated") / "control.db"
    upgrade(_sqlite(path))
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The name of a database with this version's tables, to be copied."""
    url = postgres.new_database()
    upgrade(url)
    return str(make_url(url).database)


@pytest.fixture
def store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store with this version's tables, empty."""
    if kind == SQLITE:
        path = tmp_path / "control.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        url = _sqlite(path)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database(like=request.getfixturevalue("migrated_postgres"))
    store = Store(url, Seal([Seal.new_key()]))
    yield store
    store.close()


@pytest.fixture
def session(store: Store) -> Iterator[Session]:
    """A writing session."""
    with store.write() as session:
        yield session


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path}"
