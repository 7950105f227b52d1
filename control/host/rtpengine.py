"""The program rtpengine: which one is meant, and what it says of itself."""

from __future__ import annotations

import re
import subprocess

from control.host.errors import ProgramMissingError
from control.host.tree import TREES, Tree
from control.settings import RtpengineSettings

_TREE = TREES / "rtpengine"


def command(media: RtpengineSettings, *arguments: str) -> tuple[str, ...]:
    """The command line that runs it. Raises ProgramMissingError."""
    # Unless told otherwise the unpacked one, if there is one: Debian 12's own is open to CVE-2023-51275.
    tree = media.tree or (_TREE if _TREE.exists() else None)
    return Tree(tree).command("usr/bin/rtpengine", *arguments) if tree else ("rtpengine", *arguments)


def version(media: RtpengineSettings) -> str:
    """The version of the program that ``up`` starts for this relay, such as ``12.5.1.31-1``. Raises ProgramMissingError."""
    words = command(media, "--version")
    try:
        said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramMissingError(f"{words[0]} cannot be asked for its version: {error}") from None
    found = re.search(r"Version: (\S+)", said.stdout + said.stderr)
    if found is None:
        raise ProgramMissingError(
            f"rtpengine does not say its version; it says {(said.stdout + said.stderr)[:200]!r}"
        )
    return found.group(1)
