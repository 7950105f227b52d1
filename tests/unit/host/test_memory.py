"""Kamailio is not started with less memory than what it has to hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from control.host import tables
from control.host.errors import PrepareError
from control.host.installation import Installation
from control.settings import Settings, parse


def _documents(path: Path, number: int) -> None:
    tables.ensure_projection(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            "INSERT INTO connection (key_name, key_value) VALUES (?, '{}')",
            ((f"c{n}",) for n in range(number)),
        )


@pytest.fixture
def small(tmp_path: Path) -> Settings:
    settings = parse({}, tmp_path)
    return replace(settings, edge=replace(settings.edge, shared_memory_mb=64))


def test_too_little_shared_memory_is_refused_by_name(small: Settings) -> None:
    _documents(small.projection_db, 20_000)
    with pytest.raises(PrepareError, match=r"edge\.shared_memory_mb is 64, and 20000 documents need 94"):
        Installation(small).prepare()


def test_a_small_installation_needs_no_more_than_the_least(small: Settings) -> None:
    Installation(small).prepare()
    assert Installation(small).kamailio.program.command[-6:-4] == ("-m", "64")
