"""A small Kamailio per test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from control.edge.projection_db import ProjectionDb
from demo.sandbox import ProviderSandbox
from tests.integration.edge.kamailio import SmallKamailio
from tests.integration.edge.rig import Rig


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


@pytest.fixture(scope="session")
def sandbox_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys are slow to make: one set for all tests."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture
async def sandbox(sandbox_folder: Path) -> AsyncIterator[ProviderSandbox]:
    sandbox = ProviderSandbox("127.0.11.3")
    await sandbox.start(sandbox_folder)
    yield sandbox
    await sandbox.stop()


@pytest.fixture
def rig(tmp_path: Path, sandbox: ProviderSandbox) -> Iterator[Rig]:
    rig = Rig(tmp_path, sandbox)
    yield rig
    rig.close()
