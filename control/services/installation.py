"""The first steps of an installation: its folders, its keys, its database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from control.push.webpush import vapid
from control.store.seal import Seal, write_secret
from control.store.session import SEAL_KEY_FILE, seal_key_file, upgrade

_PRIVATE = ("secrets", "state")
_OPEN = ("run", "log", "tls")


def initialise(home: Path, database_url: str) -> list[Path]:
    """Make what is missing in a home folder and bring the database up to date; the key files that are new.

    A key that exists is never replaced. Raises StoreError.
    """
    for name in _PRIVATE:
        (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in _OPEN:
        (home / name).mkdir(parents=True, exist_ok=True)
    keys = {
        home / "secrets/events.key": secrets.token_urlsafe(32),
        home / "secrets/identity.key": secrets.token_hex(32),
        home / "secrets/vapid.pem": vapid.new_key(),
    }
    # A seal's key that systemd hands over needs no other.
    if seal_key_file(home, os.environ) == home / SEAL_KEY_FILE:
        keys = {home / SEAL_KEY_FILE: Seal.new_key(), **keys}
    made = [path for path, value in keys.items() if write_secret(path, value)]
    upgrade(database_url)
    return made
