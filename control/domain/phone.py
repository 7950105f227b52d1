"""The code of a one-time link, by which a browser becomes a device."""

from __future__ import annotations

import hashlib
import secrets

from control.domain.secret import Secret

LINK_MINUTES = 30
LINK_MINUTES_MAX = 24 * 60


def new_code() -> Secret:
    """The code of a one-time link: 192 bits, fit for a URL."""
    return Secret(secrets.token_urlsafe(24))


def digest_of(code: Secret) -> str:
    """What is kept of a code. A plain digest is enough: 192 bits cannot be guessed."""
    return hashlib.sha256(code.reveal().encode()).hexdigest()
