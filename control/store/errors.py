"""What can be wrong with the database and its key.

StoreError
├── SealKeyMissingError    secrets/seal.key is not there, or holds no key
├── SealBrokenError        a sealed value cannot be opened with the keys at hand
├── KeysBusyError          another process rotates the keys
├── KeysReadOnlyError      the key file cannot be written
└── DatabaseVersionError   the database was made by a newer Nightbell
"""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be used; the text says what to do."""

    id = "store"


class SealKeyMissingError(StoreError):
    """There is no key to seal and open stored passwords with."""

    id = "seal-key-missing"


class SealBrokenError(StoreError):
    """A sealed value fits none of the keys: the key file was replaced, or the row was altered."""

    id = "seal-broken"


class KeysBusyError(StoreError):
    """Another process rotates the keys at this moment."""

    id = "keys-busy"


class KeysReadOnlyError(StoreError):
    """The keys cannot be rotated where they are."""

    id = "keys-read-only"


class DatabaseVersionError(StoreError):
    """The database's schema is not one this version knows."""

    id = "database-version"
