"""An edge in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.edge import Edge


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    """A running edge without people."""
    edge = Edge(tmp_path)
    yield edge
    edge.close()
