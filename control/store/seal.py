"""Passwords at rest are sealed: a copy of the database alone gives none of them away."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from control.domain.secret import Secret
from control.store.errors import SealBrokenError, SealKeyMissingError


class Seal:
    """Seals and opens values with Fernet keys, the newest first: the old ones only open."""

    def __init__(self, keys: list[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise SealKeyMissingError("a seal key must be 32 bytes in URL-safe base64, one a line") from None

    def __repr__(self) -> str:
        return "Seal(***)"

    @classmethod
    def read(cls, path: Path) -> Seal:
        """The keys of a file, one a line. Raises SealKeyMissingError."""
        try:
            lines = path.read_text(encoding="ascii").split()
        except OSError as error:
            raise SealKeyMissingError(f"{path}: {error.strerror}; `nightbell init` writes it") from None
        if not lines:
            raise SealKeyMissingError(f"{path} is empty; restore it from a backup")
        return cls(lines)

    @staticmethod
    def new_key() -> str:
        """A fresh key, as it stands in the key file."""
        return Fernet.generate_key().decode()

    def close(self, secret: Secret) -> str:
        """The sealed form of a secret, fit for a text column."""
        return self._fernet.encrypt(secret.reveal().encode()).decode()

    def open(self, sealed: str) -> Secret:
        """The secret of a sealed form. Raises SealBrokenError."""
        try:
            return Secret(self._fernet.decrypt(sealed.encode()).decode())
        except InvalidToken:
            raise SealBrokenError(
                "a stored password cannot be opened with secrets/seal.key; restore the key file that was "
                "used when it was stored, or store the password again"
            ) from None


def write_secret(path: Path, value: str) -> bool:
    """Write a secret file of mode 0600 unless it exists; False if it does. Never replaces a key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(value + "\n")
    return True
