"""``import KSR`` for scripts that run outside Kamailio: the module leads to whichever fake is current."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from tests.fakes.kamailio.errors import FakeError


class _Door(ModuleType):
    current: object = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.current is None:
            raise FakeError(f"KSR.{name} was used while no Kamailio was there")
        return getattr(self.current, name)


def install(current: object) -> None:
    """Make ``current`` what ``KSR`` leads to, from now on; None: nothing."""
    door = sys.modules.get("KSR")
    if not isinstance(door, _Door):
        door = sys.modules["KSR"] = _Door("KSR")
    door.current = current
