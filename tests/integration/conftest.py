"""A database as `nightbell init` leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control.services import installation
from control.store.session import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/state/control.db"
    installation.initialise(tmp_path, url)
    store = Store.open(url, tmp_path)
    yield store
    store.close()
