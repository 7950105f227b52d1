"""What every text must pass before it is kept, whether a person typed it or the network sent it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from control.domain.errors import InvalidFieldError

_Record = TypeVar("_Record", bound=Any)  # a dataclass


def checked_text(field: str, value: str, *, maximum: int, minimum: int = 1) -> str:
    """One line of text of ``minimum`` to ``maximum`` bytes of UTF-8, without control characters.

    CR and LF would end a SIP header and begin another; NUL cannot be kept by PostgreSQL. Raises
    InvalidFieldError.
    """
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidFieldError(field, "it is not valid text (a lone surrogate)") from None
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in value):
        raise InvalidFieldError(field, "it must not contain line breaks or other control characters")
    if not value.strip() and minimum:
        raise InvalidFieldError(field, "it must not be empty")
    if size > maximum:
        raise InvalidFieldError(field, f"it is {size} bytes long; at most {maximum} are possible")
    if size < minimum:
        raise InvalidFieldError(field, f"it must have at least {minimum} bytes")
    return value


def checked_number(field: str, value: int, minimum: int, maximum: int, unit: str = "") -> int:
    """A whole number within bounds, both included. Raises InvalidFieldError."""
    if not minimum <= value <= maximum:
        raise InvalidFieldError(field, f"{value} is not between {minimum} and {maximum}{unit}")
    return value


def one_of(field: str, value: str, choices: tuple[str, ...]) -> str:
    """One of a few words. Raises InvalidFieldError."""
    if value not in choices:
        raise InvalidFieldError(field, f"{value[:40]!r} is not one of {', '.join(choices)}")
    return value


def printable(value: str, maximum: int) -> str:
    """What the network said, made fit to be kept: no control characters, at most ``maximum`` characters."""
    cut = value[:maximum]
    if cut.isascii() and cut.isprintable():
        return cut
    clean = cut.encode("utf-8", "replace").decode()
    return "".join(
        c if unicodedata.category(c) not in ("Cc", "Zl", "Zp") else "\N{REPLACEMENT CHARACTER}" for c in clean
    )


def all_printable(record: _Record, limits: Mapping[str, int]) -> _Record:
    """A dataclass whose fields named in ``limits`` are ``printable``, each with its maximum; most are as they come."""
    mended = {
        name: text
        for name, maximum in limits.items()
        if (text := printable(value := getattr(record, name), maximum)) != value
    }
    return replace(record, **mended) if mended else record
