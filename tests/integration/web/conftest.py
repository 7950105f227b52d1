"""The application on a database of its own, at a moment that stands still."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from control import settings
from control.store.session import Store
from control.web.app import create_app

NOW = 1_700_000_100.0


@pytest.fixture
def tables() -> dict[str, Any]:
    """The settings, as nightbell.toml has them; a module that needs others overrides this."""
    return {}


@pytest.fixture
def client(store: Store, tables: dict[str, Any], tmp_path: Path) -> FlaskClient:
    return create_app(settings.parse(tables, tmp_path), store, lambda: NOW).test_client()


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
