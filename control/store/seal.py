"""Passwords at rest are sealed: a copy of the database alone gives none of them away."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from control.domain.secret import Secret
from control.store.errors import SealBrokenError, SealKeyMissingError


class Seal:
    """Seals and opens values with Fernet keys, the newest first: the old ones only open.

    With a ``file`` it follows that file: whoever rotates the keys need not restart the others.
    """

    def __init__(self, keys: list[str]) -> None:
        self._file: Path | None = None
        self._stamp: tuple[int, ...] = ()
        self._load(keys)

    def __repr__(self) -> str:
        return "Seal(***)"

    @classmethod
    def read(cls, path: Path) -> Seal:
        """The keys of a file, one a line. Raises SealKeyMissingError."""
        stamp = _stamp(path)  # before it is read: a file that is replaced meanwhile is read again
        seal = cls(read_keys(path))
        seal._file, seal._stamp = path, stamp
        return seal

    @staticmethod
    def new_key() -> str:
        """A fresh key, as it stands in the key file."""
        return Fernet.generate_key().decode()

    def close(self, secret: Secret) -> str:
        """The sealed form of a secret, fit for a text column. Raises SealKeyMissingError."""
        self._follow()
        return self._all.encrypt(secret.reveal().encode()).decode()

    def open(self, sealed: str) -> Secret:
        """The secret of a sealed form. Raises SealBrokenError, SealKeyMissingError."""
        try:
            return self._open(sealed)
        except InvalidToken:
            self._follow()
        try:
            return self._open(sealed)
        except InvalidToken:
            raise SealBrokenError(
                "a stored password cannot be opened with secrets/seal.key; restore the key file that was "
                "used when it was stored, or store the password again"
            ) from None

    def is_of_newest_key(self, sealed: str) -> bool:
        """Whether the newest key alone opens it."""
        self._follow()
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def _open(self, sealed: str) -> Secret:
        return Secret(self._all.decrypt(sealed.encode()).decode())

    def _load(self, keys: list[str]) -> None:
        try:
            fernets = [Fernet(key) for key in keys]
        except ValueError:
            raise SealKeyMissingError("a seal key must be 32 bytes in URL-safe base64, one a line") from None
        self._newest, self._all = fernets[0], MultiFernet(fernets)

    def _follow(self) -> None:
        stamp = _stamp(self._file)
        if self._file is not None and stamp != self._stamp:
            self._load(read_keys(self._file))
            self._stamp = stamp


def _stamp(file: Path | None) -> tuple[int, ...]:
    """What differs when a file was replaced."""
    if file is None:
        return ()
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def read_keys(path: Path) -> list[str]:
    """The keys in a file, the newest first. Raises SealKeyMissingError."""
    try:
        lines = path.read_text(encoding="ascii").split()
    except OSError as error:
        raise SealKeyMissingError(f"{path}: {error.strerror}; `nightbell init` writes it") from None
    if not lines:
        raise SealKeyMissingError(f"{path} is empty; restore it from a backup")
    return lines


def replace_keys(path: Path, keys: list[str]) -> None:
    """Make these the keys in a file: all of them or, whatever happens meanwhile, those that were there. Raises OSError."""
    # Not a name that changes: what a crash leaves behind is overwritten by the next.
    draft = path.with_name(f"{path.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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
