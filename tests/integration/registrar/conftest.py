"""A real Kamailio for each test, and one misbehaving registrar for all of them, decent again each time."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.tmpdir import TempPathFactory

from control.host.certificates import ensure_certificate
from tests.fakes.registrar import FakeRegistrar
from tests.fixtures.phones import phones
from tests.integration.registrar.rig import Rig

__all__ = ["phones"]

PBX_ADDRESS = "127.0.92.1"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def pbx_tls(tmp_path_factory: TempPathFactory) -> Path:
    """The folder of the PBX's certificate, its key, and the authority that signed it (ca.pem)."""
    folder = tmp_path_factory.mktemp("pbx")
    ensure_certificate(folder, "pbx.example", PBX_ADDRESS, datetime.datetime.now(datetime.UTC))
    return folder


@pytest.fixture(scope="session")
def registrar(pbx_tls: Path) -> Iterator[FakeRegistrar]:
    """The registrar's process."""
    with FakeRegistrar(PBX_ADDRESS, certificate=pbx_tls / "cert.pem", key=pbx_tls / "key.pem") as running:
        yield running


@pytest.fixture
def pbx(registrar: FakeRegistrar) -> FakeRegistrar:
    """The registrar without orders, bans and statistics."""
    registrar.ask("forget_orders")
    registrar.ask("ban", after=0)
    registrar.clear()
    return registrar


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An edge that is not started yet."""
    rig = Rig(tmp_path / "home")
    yield rig
    rig.close()


@pytest.fixture
def user() -> Callable[[str], str]:
    """Names that no test before has used; what comes before the hyphen says how the registrar treats the account."""

    def name(kind: str) -> str:
        return f"{kind}-{next(_numbers)}"

    return name
