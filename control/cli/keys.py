"""`nightbell keys`: the keys that stored passwords are sealed with."""

from __future__ import annotations

import os
from pathlib import Path

import click

from control.cli.installation import home_option, settings_of
from control.services.keys import rotate as rotate_keys
from control.store.seal import Seal
from control.store.session import Store, seal_key_file


@click.group()
def keys() -> None:
    """Keys: what stored passwords are sealed with."""


@keys.command()
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Where the key is, if systemd hands it over: the file that the credential is made from.",
)
@home_option
def rotate(key_file: Path | None, home: Path | None) -> None:
    """Seal all stored passwords with a new key, and throw the old one away.

    If it is interrupted, nothing is lost: call it again.
    """
    settings = settings_of(home)
    file = key_file or seal_key_file(settings.home, os.environ)
    store = Store(settings.database.url, Seal.read(file))
    try:
        done = rotate_keys(store, file)
    finally:
        store.close()
    if done.resumed:
        click.echo(
            f"finished the rotation that was interrupted: sealed {done.resealed} values anew; call it again for another key"
        )
    else:
        click.echo(
            f"sealed {done.resealed} values with a new key; backups from before need the old {file.name}"
        )
