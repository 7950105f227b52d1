"""Writing a file in one step, so that nobody ever reads half of it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from control.host.errors import PrepareError


def write_public(path: Path, text: str) -> None:
    """Replace the file; anyone may read it. Raises PrepareError."""
    _write(path, text, 0o644)


def write_private(path: Path, text: str) -> None:
    """Replace the file; only its owner may read it. Raises PrepareError."""
    _write(path, text, 0o600)


def ensure_secret(path: Path) -> None:
    """Make a random secret of 32 bytes, in hex, unless the file is there. Raises PrepareError."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, secrets.token_hex(32) + "\n")


def _write(path: Path, text: str, mode: int) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise PrepareError(f"{path} cannot be written: {error.strerror}") from None
