"""An edge in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from kemi import registrar_caution
from tests.fakes.edge import CONNECTION, Edge, connection
from tests.unit.kemi.pbx import Pbx

# Enough to find what is there to find within seconds; no deadline, for the machine may be busy.
settings.register_profile("kemi", settings.get_profile("nightbell"), max_examples=40)
settings.load_profile("kemi")


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    """A running edge without people."""
    edge = Edge(tmp_path)
    yield edge
    edge.close()


@pytest.fixture
def no_caution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts that nobody has accepted yet leave as fast as others."""
    monkeypatch.setattr(registrar_caution, "_FIRST", registrar_caution._MOST)


@pytest.fixture
def pbx(edge: Edge) -> Pbx:
    """Its registrar, with one connection."""
    edge.put("connection", CONNECTION, connection())
    return Pbx(edge)
