"""What a program and its children use: CPU, and memory that is counted once however many of them share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Use:
    """CPU seconds since the start, and bytes of memory in use now, of a whole process group."""

    cpu: float
    memory: int


def use(group: int) -> Use:
    """What the group uses. Memory is the sum of each process's proportional share (proc(5), smaps_rollup): shared memory
    counts once, and only its pages that were touched."""
    cpu, memory = 0.0, 0
    for folder in _members(group):
        try:
            cpu += int((folder / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
            memory += _share(folder / "smaps_rollup")
        except OSError:
            continue  # it has just ended
    return Use(cpu, memory)


def cpu(group: int) -> float:
    """CPU seconds only: cheap enough to ask often."""
    return sum(cpu_by_process(group).values())


def cpu_by_process(group: int) -> dict[int, float]:
    """CPU seconds of each process of the group, user and system, to the nanosecond (proc(5), schedstat)."""
    found: dict[int, float] = {}
    for folder in _members(group):
        try:
            found[int(folder.name)] = int((folder / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
        except OSError:
            continue
    return found


def _members(group: int) -> Iterator[Path]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            yield entry


def _share(rollup: Path) -> int:
    for line in rollup.read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
