"""Names and passwords that cannot be guessed, and the digests made of them (RFC 7616 §3.4.2)."""

from __future__ import annotations

import hashlib
import secrets

# Lower-case letters and digits without those that are mixed up when read aloud or typed (0 o, 1 l i).
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_device_id(user: str) -> str:
    """A device's id, which is its digest username too: the person, and six unguessable characters."""
    return f"{user}-{_random(6)}"


def new_connection_id() -> str:
    """A connection's opaque id: the contact user at the PBX; 16 characters, 79 bits."""
    return "c" + _random(16)


def new_password() -> str:
    """A device's password: 24 characters in groups of six, 119 bits."""
    return "-".join(_random(6) for _ in range(4))


def ha1_md5(user: str, realm: str, password: str) -> str:
    """MD5(user:realm:password) in hex: what RFC 7616 calls H(A1)."""
    return hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()


def ha1_sha256(user: str, realm: str, password: str) -> str:
    """SHA-256(user:realm:password) in hex, for a PBX that offers ``algorithm=SHA-256`` (RFC 8760)."""
    return hashlib.sha256(f"{user}:{realm}:{password}".encode()).hexdigest()
