"""Programs of another Debian release, unpacked into a folder of their own by ``scripts/private_tree.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from control.host.errors import ProgramMissingError

TREES = Path("/var/lib/nightbell/trees")  # where scripts/bootstrap puts them


@dataclass(frozen=True)
class Tree:
    """Such a folder. Its programs run with its own dynamic loader and libraries, not the host's."""

    path: Path

    @property
    def root(self) -> Path:
        """What is ``/`` to the packages in it."""
        return self.path / "root"

    def command(self, program: str, *arguments: str) -> tuple[str, ...]:
        """The command line that runs a program of the tree, such as ``usr/bin/rtpengine``."""
        executable = self.root / program
        if not executable.exists():
            raise ProgramMissingError(f"{executable} does not exist; run scripts/bootstrap")
        libraries = self._libraries()
        loader = next(libraries.glob("ld-linux-*.so.*"), None)
        if loader is None:
            raise ProgramMissingError(
                f"no dynamic loader in {libraries}; remove {self.path}, run scripts/bootstrap"
            )
        return (str(loader), "--library-path", str(libraries), str(executable), *arguments)

    def _libraries(self) -> Path:
        for libc in sorted(self.root.glob("usr/lib/*-linux-gnu*/libc.so.6")):
            return libc.parent
        raise ProgramMissingError(
            f"no C library in {self.root}; remove {self.path} and run scripts/bootstrap"
        )
