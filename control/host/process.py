"""One background program: start it, wait until it is ready, find it again by its pid file, and end it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from control.host.errors import ProgramMissingError, StartError, StopError

_POLL = 0.02  # seconds between two looks
_LOG_TAIL = 12  # lines


@dataclass(frozen=True)
class Program:
    """How to run a program. ``ready`` is asked until it says yes, for ``within`` seconds at most."""

    name: str
    command: tuple[str, ...]
    log: Path
    pid_file: Path
    ready: Callable[[], bool]
    within: float = 15.0
    stop_within: float = 10.0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


class Process:
    """A program that runs, or could. It outlives this object: another one with the same pid file finds it."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @property
    def pid(self) -> int | None:
        """Its process id while it runs, else None."""
        known = self._recorded()
        return known[0] if known and _is_alive(*known) else None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.pid is not None

    def start(self) -> bool:
        """Start it unless it runs, and wait until it is ready; True if it did not run. Raises StartError."""
        started = self.begin()
        self.wait_ready()
        return started

    def begin(self) -> bool:
        """Start it unless it runs, and do not wait; True if it did not run. Raises ProgramMissingError."""
        if self.running:
            return False
        self._end_leftovers()
        self._spawn()
        return True

    def _spawn(self) -> None:
        program = self.program
        executable = shutil.which(program.command[0])
        if executable is None:
            raise ProgramMissingError(
                f"{program.name}: {program.command[0]} is not installed; run scripts/bootstrap"
            )
        program.log.parent.mkdir(parents=True, exist_ok=True)
        program.pid_file.parent.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            executable,
            program.command,
            {**os.environ, **program.environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(program.log), append, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGPIPE],
        )
        program.pid_file.write_text(f"{pid} {_started_at(pid)}\n", encoding="ascii")

    def wait_ready(self) -> None:
        """Return once it is ready. Raises StartError, with the log's end, if it ends or takes too long."""
        deadline = time.monotonic() + self.program.within
        while True:
            if not self.running:
                raise StartError(
                    f"{self.program.name} ended while starting; its log says:\n{self.log_tail()}"
                )
            if self.program.ready():
                return
            if time.monotonic() > deadline:
                raise StartError(
                    f"{self.program.name} was not ready within {self.program.within:.0f} s; "
                    f"the end of {self.program.log}:\n{self.log_tail()}"
                )
            time.sleep(_POLL)

    def stop(self) -> bool:
        """Ask it to end, kill it if it does not; True if it ran. Raises StopError."""
        pid = self.pid
        if pid is not None:
            _signal(os.kill, pid, signal.SIGTERM)
            if not self._wait_gone(self.program.stop_within):
                self.kill()
        self._end_leftovers()
        self.program.pid_file.unlink(missing_ok=True)
        return pid is not None

    def kill(self) -> None:
        """Kill it and its children at once, as a power cut would (SIGKILL). Raises StopError."""
        pid = self.pid
        if pid is None:
            return
        _signal(os.killpg, pid, signal.SIGKILL)
        if not self._wait_gone(5.0):
            raise StopError(f"{self.program.name} (pid {pid}) does not end, even by SIGKILL; see `ps {pid}`")
        self._end_leftovers()

    def restart(self) -> None:
        """Stop it and start it again. Raises StartError, StopError."""
        self.stop()
        self.start()

    def log_tail(self, lines: int = _LOG_TAIL) -> str:
        """The last lines of its log, for an error message."""
        try:
            with self.program.log.open("rb") as log:
                log.seek(max(0, self.program.log.stat().st_size - 300 * lines))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return "  (no log)"
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (an empty log)"

    def _recorded(self) -> tuple[int, int] | None:
        try:
            pid, started = self.program.pid_file.read_text(encoding="ascii").split()
            return int(pid), int(started)
        except (OSError, ValueError):
            return None

    def _wait_gone(self, within: float) -> bool:
        deadline = time.monotonic() + within
        while self.running:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def _end_leftovers(self) -> None:
        """Children that outlived their leader keep its ports: end them too."""
        known = self._recorded()
        if known is None or _is_alive(*known):
            return
        leader, started = known
        # A process group's number is not given away while it has members. But once it is empty, another
        # program may have got it: then its leader is there, and started later than ours.
        if _started_at(leader) not in (0, started):
            return
        _signal(os.killpg, leader, signal.SIGKILL)
        deadline = time.monotonic() + 5.0
        while _group_has_members(leader):
            if time.monotonic() > deadline:
                raise StopError(f"children of {self.program.name} (group {leader}) do not end")
            time.sleep(_POLL)


def _signal(send: Callable[[int, int], None], target: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        send(target, number)


def _is_alive(pid: int, started: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours that has ended must be collected, or it stays a zombie
    state = _stat(pid)
    return state is not None and state[0] not in ("Z", "X") and int(state[19]) == started


def _started_at(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 if there is none."""
    state = _stat(pid)
    return int(state[19]) if state else 0


def _group_has_members(group: int) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            state = _stat(int(entry.name))
            if state and int(state[2]) == group and state[0] not in ("Z", "X"):
                return True
    return False


def _stat(pid: int) -> list[str] | None:
    """The fields of proc(5) ``stat`` from the third (``state``) on; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
