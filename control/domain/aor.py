"""Addresses of record: a person is ``sip:<user>@<domain>``."""

from __future__ import annotations

import re

from control.domain.errors import InvalidFieldError

_USER_ID = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


def aor(user: str, domain: str) -> str:
    """The address of record of a person."""
    return f"sip:{user}@{domain}"


def checked_user_id(value: str) -> str:
    """A person's id, the user part of the AoR. Raises InvalidFieldError."""
    if not _USER_ID.fullmatch(value):
        raise InvalidFieldError(
            "user",
            f"{value[:80]!r} must be 1 to 64 lower-case letters, digits, dots, hyphens or underscores, "
            "and begin and end with a letter or digit",
        )
    return value
