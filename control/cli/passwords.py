"""Where a password comes from: a file, the standard input, or the keyboard; never the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from control.domain.secret import Secret

_F = TypeVar("_F", bound=Callable[..., Any])


def password_options(command: _F) -> _F:
    """The options ``--password-file`` and ``--password-stdin`` of a command."""
    file = click.option(
        "--password-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=None,
        help="Read the password from a file.",
    )
    stdin = click.option("--password-stdin", is_flag=True, help="Read the password from the standard input.")
    return file(stdin(command))


def read_password(file: Path | None, stdin: bool, *, ask: bool) -> Secret | None:
    """The password at the PBX; None if none is given and none is to be asked for."""
    if file is not None and stdin:
        raise click.UsageError("--password-file and --password-stdin exclude each other")
    if file is not None:
        return Secret(file.read_text(encoding="utf-8").rstrip("\r\n"))
    if stdin:
        return Secret(sys.stdin.readline().rstrip("\r\n"))
    return Secret(click.prompt("Password at the PBX", hide_input=True)) if ask else None
