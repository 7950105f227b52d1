"""A small Kamailio per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.edge.projection_db import ProjectionDb
from tests.integration.edge.kamailio import SmallKamailio


@pytest.fixture
def projection(tmp_path: Path) -> Path:
    path = tmp_path / "projection.db"
    ProjectionDb(path).close()
    return path


@pytest.fixture
async def kamailio(tmp_path: Path, projection: Path) -> AsyncIterator[SmallKamailio]:
    kamailio = SmallKamailio(tmp_path, projection)
    await kamailio.start()
    yield kamailio
    kamailio.stop()
