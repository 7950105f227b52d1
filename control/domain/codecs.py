"""Which codecs a PBX or a device is offered, and what media a device may be said to take."""

from __future__ import annotations

from control.domain.errors import InvalidFieldError

# What the media relay can transcode.
CODECS = ("opus", "PCMU", "PCMA", "G722")
DEVICE_MEDIA = ("auto", "webrtc", "sdes", "plain")
_SPELT = {codec.lower(): codec for codec in CODECS}


def checked_codecs(value: str) -> list[str]:
    """A policy such as ``PCMA,opus``, the best first, as a list in the spelling of SDP; empty: any codec.

    Raises InvalidFieldError.
    """
    names = [name.strip() for name in value.split(",")] if value.strip() else []
    for name in names:
        if name.lower() not in _SPELT:
            raise InvalidFieldError("codecs", f"{name[:40]!r} is not one of {', '.join(CODECS)}")
    if len({name.lower() for name in names}) < len(names):
        raise InvalidFieldError("codecs", "it names a codec twice")
    return [_SPELT[name.lower()] for name in names]
