"""A clock that jumps, and the switchboard the phones of these tests are connected to."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fixtures.phones import Phones, phones
from tests.unit.phone.certificates import write_authority
from tests.unit.phone.switchboard import Switchboard

__all__ = ["phones"]

DOMAIN = "nightbell.test"
PASSWORDS = {"alice": "alice-secret", "bob": "bob-secret", "carol": "carol-secret"}


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the time it should have waited is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.elapsed += timeout
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed


@pytest.fixture
def run_in_virtual_time() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine in a loop whose clock jumps from timer to timer, starting at 0."""

    def run(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
            runner.run(work)

    return run


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and cert.pem and key.pem for the domain."""
    directory = tmp_path_factory.mktemp("tls")
    write_authority(directory, DOMAIN)
    return directory


@pytest_asyncio.fixture
async def switchboard(authority: Path) -> AsyncIterator[Switchboard]:
    """A registrar and proxy on all five transports."""
    board = Switchboard(DOMAIN, dict(PASSWORDS), authority)
    await board.start("127.0.42.1")
    yield board
    await board.stop()


@pytest.fixture
def make(phones: Phones, switchboard: Switchboard, authority: Path) -> Callable[..., Any]:
    """Makes a phone of Alice, Bob or Carol behind the switchboard, on an address of its own."""

    def make_phone(user: str, transport: str = "udp", **options: Any) -> Any:
        return phones(
            user,
            options.pop("password", PASSWORDS[user]),
            DOMAIN,
            switchboard.address(transport),
            transport=transport,
            local=f"127.0.42.{10 + list(PASSWORDS).index(user)}",
            ca_file=authority / "ca.pem",
            **options,
        )

    return make_phone
