"""The mark a call carries in its Record-Route: our reference of the call, sealed, so that a dialog needs no memory of ours.

Without the seal anybody could send us requests with a Route of his own making and have them carried on. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from typing import NamedTuple

from kemi.media_profile import Terms

PARAMETER = "nb"
_IN_ROUTE = re.compile(f";{PARAMETER}=([^;>,]*)")


class Mark(NamedTuple):
    """What a dialog says of itself: our reference of the call, on what terms its media goes through rtpengine, None when it
    does not, and which end is the device's: the caller's when ``outbound``, else the other one; ``caller`` is what short_tag
    makes of his From-tag."""

    call: str
    media: Terms | None
    outbound: bool = False
    caller: str = ""

    def is_device(self, from_tag: str) -> bool:
        """Whether who sends with this From-tag is the device, not the PBX."""
        return (short_tag(from_tag) == self.caller) == self.outbound


def new_reference() -> str:
    """A fresh, unguessable call reference: 16 hexadecimal digits."""
    return os.urandom(8).hex()


def short_tag(tag: str) -> str:
    """A From- or To-tag, which may be long, as 8 hexadecimal digits."""
    return hashlib.blake2b(tag.encode(), digest_size=4).hexdigest()


def seal(mark: Mark, sip_call_id: str, key: bytes) -> str:
    """The mark as a parameter's value: ``reference.caller.o|i.terms|d.seal``."""
    plain = f"{mark.call}.{mark.caller}.{'o' if mark.outbound else 'i'}.{'d' if mark.media is None else mark.media}"
    return f"{plain}.{_mac(plain, sip_call_id, key)}"


def unseal(value: str, sip_call_id: str, key: bytes) -> Mark | None:
    """The mark in a parameter's value, None when it is not one that we made for this Call-ID."""
    plain, _, mac = value.rpartition(".")
    if not hmac.compare_digest(mac.encode(), _mac(plain, sip_call_id, key).encode()):
        return None
    call, caller, direction, media = plain.split(".")
    return Mark(call, None if media == "d" else Terms.read(media), direction == "o", caller)


def in_route(route: str) -> str:
    """The mark's value in the first Route header, ``""`` when there is none."""
    found = _IN_ROUTE.search(route)
    return found[1] if found else ""


def _mac(plain: str, sip_call_id: str, key: bytes) -> str:
    return hashlib.blake2b(f"{plain} {sip_call_id}".encode(), key=key, digest_size=8).hexdigest()
