"""A key press in the body of an INFO request: ``application/dtmf-relay`` and ``application/dtmf``. Pure; never fails otherwise.

Nobody has standardised them; these are the two that phones send, and PBXs read: lines such as ``Signal=5`` and ``Duration=160``,
or the key alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

RELAY, PLAIN = "application/dtmf-relay", "application/dtmf"
KEYS = "0123456789*#ABCD"  # in the order of their codes (RFC 4733, 3.2)
_FLASH = 16  # the code of a hook flash: no key, and nothing that a media relay could send
_USUAL_MS = 160
_SHORTEST_MS, _LONGEST_MS = 100, 5000  # what rtpengine can make
_LINE = re.compile(r"[ \t]*([A-Za-z]+)[ \t]*[=:][ \t]*(\S*)[ \t]*")


class BadKeyPressError(ValueError):
    """An INFO that says it is about a key, and is not. ``code`` is the status that it gets, the text its reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class KeyPress:
    """One of ``KEYS``, and for how long it was pressed, in milliseconds. Keys may be a PIN: no repr shows one."""

    key: str = field(repr=False)
    milliseconds: int = _USUAL_MS


def read(content_type: str, encoding: str, body: str) -> KeyPress | None:
    """The key press in an INFO; None when it is about something else, says nothing, or is a hook flash.

    ``content_type`` and ``encoding`` are bodies of headers, ``""`` when absent. Raises BadKeyPressError.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (RELAY, PLAIN) or not body.strip():
        return None
    if encoding.strip().lower() not in ("", "identity"):
        raise BadKeyPressError(415, "A key press is read as it is, in no Content-Encoding")
    signal, duration = (body.strip(), "") if kind == PLAIN else _fields(body)
    key = _key(signal)
    return KeyPress(key, _milliseconds(duration)) if key else None


def _fields(body: str) -> tuple[str, str]:
    found = (_LINE.fullmatch(line) for line in body.replace("\r", "\n").split("\n"))
    fields = {match[1].lower(): match[2] for match in found if match is not None}
    if "signal" not in fields:
        raise BadKeyPressError(400, "The body has no line such as Signal=5")
    return fields["signal"], fields.get("duration", "")


def _key(signal: str) -> str:
    """The key that a signal names, by itself or by its code; empty for a hook flash."""
    if len(signal) == 1 and signal.upper() in KEYS:
        return signal.upper()
    code = int(signal) if signal.isascii() and signal.isdigit() and len(signal) <= 2 else -1
    if signal == "!" or code == _FLASH:
        return ""
    if not 0 <= code < len(KEYS):
        raise BadKeyPressError(400, "The signal is none of 0 to 9, *, # and A to D")
    return KEYS[code]


def _milliseconds(duration: str) -> int:
    if not duration:
        return _USUAL_MS
    if not (duration.isascii() and duration.isdigit()):
        raise BadKeyPressError(400, "The duration is no number of milliseconds")
    return min(max(int(duration[:9]), _SHORTEST_MS), _LONGEST_MS)
