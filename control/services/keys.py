"""Rotation of the seal's key: a new key, everything sealed anew with it, and only then the old one thrown away."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from control.store.errors import KeysBusyError, KeysReadOnlyError
from control.store.models import Connection, Device
from control.store.seal import Seal, read_keys, replace_keys
from control.store.session import Store, seal_of, wait_for_sealing

PAGE = 200  # rows of one transaction: others write in between

_SEALED: tuple[tuple[InstrumentedAttribute[str], InstrumentedAttribute[str]], ...] = (
    (Connection.id, Connection.password),
    (Connection.id, Connection.inbound_ha1),
    (Device.id, Device.ha1),
)


@dataclass(frozen=True)
class Rotation:
    """What was done. ``resumed``: there was no new key, but the end of a rotation that had been interrupted."""

    resealed: int
    resumed: bool


def rotate(store: Store, key_file: Path) -> Rotation:
    """Seal everything with a new key. Interrupted at any moment, nothing is lost, and the next call goes on.

    ``key_file`` is the one that ``store`` was opened with. Processes that are at work follow by themselves. Raises
    SealKeyMissingError, SealBrokenError, KeysBusyError, KeysReadOnlyError.
    """
    with _alone(key_file):
        keys = read_keys(key_file)
        resumed = len(keys) > 1
        if not resumed:
            keys = [Seal.new_key(), *keys]
            _replace(key_file, keys)
        # From here on everything is sealed with the new key, but for what was on its way already.
        with store.write() as session:
            wait_for_sealing(session)
        resealed = sum(_reseal(store, key, column) for key, column in _SEALED)
        _replace(key_file, keys[:1])
    return Rotation(resealed, resumed)


def _reseal(store: Store, key: InstrumentedAttribute[str], column: InstrumentedAttribute[str]) -> int:
    last, count = "", 0
    while True:
        with store.write() as session:
            query = select(key, column).where(key > last).order_by(key).limit(PAGE).with_for_update()
            rows = session.execute(query).all()
            if not rows:
                return count
            for name, value in rows:
                if value and not seal_of(session).is_of_newest_key(value):
                    _reseal_one(session, key, column, name, value)
                    count += 1
            last = rows[-1][0]


def _reseal_one(
    session: Session,
    key: InstrumentedAttribute[str],
    column: InstrumentedAttribute[str],
    name: str,
    value: str,
) -> None:
    seal = seal_of(session)
    session.execute(update(column.class_).where(key == name).values({column: seal.close(seal.open(value))}))


def _replace(key_file: Path, keys: list[str]) -> None:
    try:
        replace_keys(key_file, keys)
    except OSError as error:
        raise KeysReadOnlyError(
            f"{key_file} cannot be written: {error.strerror}; where systemd hands the key over, give the file it is made "
            "from with --key-file"
        ) from None


@contextmanager
def _alone(key_file: Path) -> Iterator[None]:
    """Two rotations at once would each throw the other's key away."""
    try:
        lock = key_file.with_name(f"{key_file.name}.lock").open("w")
    except OSError as error:
        raise KeysReadOnlyError(f"{key_file.parent} cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise KeysBusyError("the keys are being rotated by another process; wait for it") from None
        yield
