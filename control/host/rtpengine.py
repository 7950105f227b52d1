"""The program rtpengine: which one is meant, and what it says of itself."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

from control.host.errors import ProgramMissingError
from control.host.tree import TREES, Tree
from control.settings import RtpengineSettings

# CVE-2023-51275: one ClientHello from anywhere ends a WebRTC call's audio. The first version of each series that is mended.
ADVISORY = "CVE-2023-51275"
_MENDED = ((8, 5, 12, 2), (9, 5, 8, 2), (10, 5, 6, 2), (11, 5, 1, 16), (12, 0, 1, 3), (12, 1, 1, 2))

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


def is_vulnerable(version: str) -> bool:
    """Whether a version is open to ADVISORY; one that cannot be read counts as such."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version.partition("-")[0])[:4])
    if numbers[:2] > _MENDED[-1][:2]:
        return False
    series = [mended for mended in _MENDED if mended[:2] == numbers[:2]]
    return not series or numbers < series[0]


def takes_webrtc(relays: Iterable[RtpengineSettings]) -> bool:
    """Whether calls by WebRTC may go through all of these; one that does not run here is its keeper's business.

    Raises ProgramMissingError.
    """
    return not any(
        relay.here and not relay.accept_vulnerable and is_vulnerable(version(relay)) for relay in relays
    )
