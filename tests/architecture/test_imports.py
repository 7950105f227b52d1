"""The arrows go one way: the contracts of .importlinter hold, and each of them would notice if it did not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("kemi", "control", "demo")
_LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"

# One import that must not be, for each contract.
VIOLATIONS = {
    "There is one door to Kamailio": ("kemi/auth.py", "import KSR"),
    "What runs inside Kamailio knows nothing of the rest": ("kemi/nat.py", "import control.settings"),
    "A SIP worker never waits": ("kemi/media.py", "import sqlite3"),
    "In kemi, decisions are pure": ("kemi/wake_rules.py", "from kemi import ksr"),
    "control and kemi share the message formats": ("control/edge/waker.py", "import kemi.wake_rules"),
    "The product does not know the demo": ("control/host/render.py", "import demo.ports"),
    "Inside control": ("control/services/people.py", "import control.web.app"),
    "The rooms of the edge agent": ("control/edge/recorder.py", "import control.store.models"),
    "Nothing in the edge agent": ("control/edge/receiver.py", "import control.edge.main.agent"),
    "A push provider knows no other": ("control/push/fcm/provider.py", "import control.push.apns.provider"),
}


def lint(directory: Path) -> tuple[int, str]:
    """Run import-linter over the packages in ``directory``; its exit code, and what it says on one line."""
    command = [sys.executable, "-c", _LINT, "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


def test_the_contracts_hold() -> None:
    code, said = lint(ROOT)
    assert code == 0, said


@pytest.fixture(scope="module")
def with_violations(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the tree in which every contract is broken once."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / ".importlinter", copy)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, copy / package, ignore=lambda _, names: [n for n in names if n == "__pycache__"]
        )
    for file, line in VIOLATIONS.values():
        with (copy / file).open("a", encoding="utf-8") as source:
            source.write(f"\n{line}\n")
    code, said = lint(copy)
    assert code == 1, said
    return said


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_broken_contract_is_noticed(with_violations: str, contract: str) -> None:
    assert re.search(rf"{re.escape(contract)}.*? (KEPT|BROKEN)", with_violations)[1] == "BROKEN"  # type: ignore[index]


def test_every_contract_is_broken_once_here() -> None:
    names = re.findall(r"^name = (.+)$", (ROOT / ".importlinter").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) == len(VIOLATIONS)
    for name in names:
        assert any(name.startswith(contract) for contract in VIOLATIONS), name
