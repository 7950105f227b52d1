"""Programs unpacked from another Debian release: how they are found, and how the packages are chosen."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from control.host.errors import ProgramMissingError
from control.host.tree import Tree

SCRIPT = Path(__file__).parents[3] / "scripts" / "private_tree.py"


def make_tree(path: Path) -> Tree:
    libraries = path / "root/usr/lib/x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    (libraries / "libc.so.6").touch()
    (libraries / "ld-linux-x86-64.so.2").touch()
    (path / "root/usr/bin").mkdir()
    (path / "root/usr/bin/rtpengine").touch()
    return Tree(path)


def test_a_program_runs_with_the_loader_and_libraries_of_its_own_release(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    libraries = tmp_path / "root/usr/lib/x86_64-linux-gnu"
    assert tree.command("usr/bin/rtpengine", "--version") == (
        str(libraries / "ld-linux-x86-64.so.2"),
        "--library-path",
        str(libraries),
        str(tmp_path / "root/usr/bin/rtpengine"),
        "--version",
    )


def test_a_program_that_is_not_there_says_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissingError, match="scripts/bootstrap"):
        make_tree(tmp_path).command("usr/sbin/asterisk")


def test_half_a_tree_is_refused(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    next(tmp_path.rglob("libc.so.6")).unlink()
    with pytest.raises(ProgramMissingError, match="no C library"):
        tree.command("usr/bin/rtpengine")


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("private_tree", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_closure_is_what_apt_would_install(script: ModuleType) -> None:
    simulation = (
        "Reading package lists...\n"
        "Inst libc6 (2.41-12 Debian:13.1/stable [amd64])\n"
        "Inst rtpengine-daemon (12.5.1.31-1 Debian:13.1/stable [amd64]) []\n"
        "Conf libc6 (2.41-12 Debian:13.1/stable [amd64])\n"
    )
    assert script._closure(simulation) == ["libc6=2.41-12", "rtpengine-daemon=12.5.1.31-1"]


def test_a_tree_that_is_there_is_left_alone(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tree.json").write_text(json.dumps({"program": "asterisk", "suite": "forky", "packages": []}))
    script.main(["asterisk", "forky", str(tmp_path)])
    assert capsys.readouterr().out == ""


def test_a_command_that_fails_ends_the_script_with_its_last_words(script: ModuleType, tmp_path: Path) -> None:
    words = "import sys; print('E: no such suite', file=sys.stderr); sys.exit(100)"
    with pytest.raises(SystemExit, match="ended with 100: E: no such suite"):
        script._run([sys.executable, "-c", words], tmp_path)
