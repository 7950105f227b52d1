"""``import KSR`` for scripts that run outside Kamailio: the module leads to whichever fake is current."""

from __future__ import annotations

import sys
from operator import attrgetter
from types import ModuleType
from typing import Any

from tests.fakes.kamailio.errors import FakeError


class _Door(ModuleType):
    """Scripts may take functions from it before there is a Kamailio: each call looks for the one that is there then."""

    current: object = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Later(self, name)


class _Later:
    """``KSR.name`` or ``KSR.module.name``, to be found when it is called."""

    def __init__(self, door: _Door, path: str) -> None:
        self._door, self._path = door, path

    def __getattr__(self, name: str) -> _Later:
        return _Later(self._door, f"{self._path}.{name}")

    def __call__(self, *arguments: object) -> Any:
        if self._door.current is None:
            raise FakeError(f"KSR.{self._path} was used while no Kamailio was there")
        return attrgetter(self._path)(self._door.current)(*arguments)


def install(current: object) -> None:
    """Make ``current`` what ``KSR`` leads to, from now on; None: nothing."""
    door = sys.modules.get("KSR")
    if not isinstance(door, _Door):
        door = sys.modules["KSR"] = _Door("KSR")
    door.current = current
