"""The PURR of a device (RFC 8599, 6.2.1): a reference by which requests within its dialogs find it while it sleeps. Pure.

The device itself is in it, sealed with the identity key: nothing has to be kept for as long as a dialog may last, nobody
else can make one, and it says nothing of the device or its token to whoever is at the other end of a call.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache

PARAMETER = "pn-purr"

_PERIOD_S = 3600  # then a device gets another one, and nobody can tell that the two are of the same device
_BLOCK = 32  # bytes: names are filled up to a multiple, as the length would tell one from another
_MAC = 16  # bytes
_LONGEST = 200  # characters that are looked at


def of(device: str, now: float, key: bytes) -> str:
    """The PURR of a device at this time (UNIX seconds): base64url without padding, which is a token in SIP."""
    return _seal(device, int(now) // _PERIOD_S, key)


def device_in(uri: str, key: bytes) -> str:
    """The device whose PURR is in a SIP URI, ``""`` when there is none that we made."""
    value = uri.partition(f";{PARAMETER}=")[2]
    for end in (";", "?", ">"):
        value = value.partition(end)[0]
    if not value or len(value) > _LONGEST:
        return ""
    try:
        sealed = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return ""
    mac, hidden = sealed[:_MAC], sealed[_MAC:]
    plain = _hide(hidden, mac, key)
    if not hmac.compare_digest(mac, _mac_of(plain, key)):
        return ""
    return plain[4:].rstrip(b"\0").decode()


@lru_cache(maxsize=4096)
def _seal(device: str, period: int, key: bytes) -> str:
    plain = period.to_bytes(4, "big") + device.encode()
    plain += bytes(-len(plain) % _BLOCK)
    mac = _mac_of(plain, key)
    return base64.urlsafe_b64encode(mac + _hide(plain, mac, key)).rstrip(b"=").decode()


def _mac_of(plain: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(plain, key=key, digest_size=_MAC, person=b"nightbell-purr").digest()


def _hide(text: bytes, mac: bytes, key: bytes) -> bytes:
    """Encrypt or decrypt. The MAC of what is hidden is the nonce, so the same pad is never used for two texts (RFC 5297's idea)."""
    length, pad = len(text), b""
    while len(pad) < length:
        pad += hashlib.blake2b(mac + bytes([len(pad)]), key=key, person=b"nightbell-pad").digest()
    return (int.from_bytes(text, "big") ^ int.from_bytes(pad[:length], "big")).to_bytes(length, "big")
