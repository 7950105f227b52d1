"""What most commands begin with: which installation, its settings, its store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from control.settings import Settings, home_from, load
from control.store.session import Store

_F = TypeVar("_F", bound=Callable[..., Any])


def home_option(command: _F) -> _F:
    """The option ``--home`` of a command."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        help="The installation's folder. Default: NIGHTBELL_HOME, else ./run",
    )(command)


def settings_of(home: Path | None) -> Settings:
    """The settings of the installation that is meant. Raises SettingsError."""
    return load(home_from(home, os.environ))


@contextmanager
def opened(home: Path | None) -> Iterator[tuple[Settings, Store]]:
    """Settings and store of the installation that is meant. Raises SettingsError, StoreError."""
    settings = settings_of(home)
    store = Store.open(settings.database.url, settings.home)
    try:
        yield settings, store
    finally:
        store.close()
