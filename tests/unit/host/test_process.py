"""Background programs: started once, found again, and ended with all their children."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control.host.errors import ProgramMissingError, StartError
from control.host.process import Process, Program

# Says that it is ready, then waits; with a child that would outlive it.
SERVER = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""
DEAF = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("0")
time.sleep(60)
"""

Make = Callable[..., Process]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Process] = []

    def build(code: str = SERVER, within: float = 10.0, stop_within: float = 5.0) -> Process:
        ready = tmp_path / "ready"
        process = Process(
            Program(
                name="server",
                command=(sys.executable, "-c", code, str(ready)),
                log=tmp_path / "log" / "server.log",
                pid_file=tmp_path / "run" / "server.pid",
                ready=lambda: ready.exists() and ready.read_text() != "",
                within=within,
                stop_within=stop_within,
            )
        )
        made.append(process)
        return process

    yield build
    for process in made:
        process.stop()


def child_of(tmp_path: Path) -> int:
    return int((tmp_path / "ready").read_text())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_starts_once_and_is_found_again(make: Make) -> None:
    first = make()
    assert first.start() is True
    assert first.start() is False
    again = make()
    assert again.pid == first.pid
    assert again.stop() is True
    assert not first.running
    assert first.stop() is False


def test_it_leads_a_session_of_its_own_so_that_a_terminal_does_not_end_it(make: Make) -> None:
    process = make()
    process.start()
    pid = process.pid
    assert pid is not None
    assert os.getsid(pid) == pid


def test_kill_takes_the_children_too(make: Make, tmp_path: Path) -> None:
    process = make()
    process.start()
    child = child_of(tmp_path)
    process.kill()
    assert not process.running
    assert not is_alive(child)


def test_children_that_outlived_their_leader_are_ended_before_the_next_start(
    make: Make, tmp_path: Path
) -> None:
    process = make()
    process.start()
    pid, child = process.pid, child_of(tmp_path)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while process.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_alive(child)
    (tmp_path / "ready").unlink()
    assert process.start() is True
    assert not is_alive(child)


def test_one_that_ignores_sigterm_is_killed(make: Make) -> None:
    process = make(DEAF, stop_within=0.1)
    process.start()
    assert process.stop() is True
    assert not process.running


def test_one_that_ends_at_once_is_reported_with_the_end_of_its_log(make: Make) -> None:
    process = make("import sys; sys.exit('port 5060 is taken')")
    with pytest.raises(StartError, match="port 5060 is taken"):
        process.start()


def test_one_that_is_never_ready_is_reported_with_its_time(make: Make) -> None:
    process = make("import time; time.sleep(60)", within=0.2)
    with pytest.raises(StartError, match="not ready within"):
        process.start()


def test_a_pid_that_went_to_another_program_is_not_ours(make: Make, tmp_path: Path) -> None:
    process = make()
    (tmp_path / "run").mkdir()
    process.program.pid_file.write_text(f"{os.getpid()} 1\n")  # this test, which started later than tick 1
    assert not process.running
    assert process.stop() is False  # and we are still here


@pytest.mark.parametrize("text", ["", "x", "12", "1 2 3"])
def test_a_broken_pid_file_means_not_running(make: Make, text: str) -> None:
    process = make()
    process.program.pid_file.parent.mkdir()
    process.program.pid_file.write_text(text)
    assert not process.running


def test_a_program_that_is_not_installed_says_what_installs_it(make: Make, tmp_path: Path) -> None:
    program = Program("x", ("no-such-program",), tmp_path / "x.log", tmp_path / "x.pid", lambda: True)
    with pytest.raises(ProgramMissingError, match="scripts/bootstrap"):
        Process(program).start()
