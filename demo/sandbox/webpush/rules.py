"""What makes a push request acceptable (RFC 8030 §5, RFC 8291 §4); a pure decision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_BODY = 4096  # bytes; what RFC 8030 §7.2 lets every application server rely on
LONGEST_TTL = 2_419_200  # seconds; four weeks, as the vendors keep messages
URGENCIES = ("very-low", "low", "normal", "high")
_TOPIC = re.compile(r"[A-Za-z0-9_\-]{1,32}")


@dataclass(frozen=True, slots=True)
class Ruling:
    """The name of the error, or none: accepted. ``ttl`` is in seconds."""

    error: str = ""
    ttl: int = 0
    urgency: str = "normal"
    topic: str = ""


def rule(headers: Mapping[str, str], size: int) -> Ruling:
    """Judge a request by its headers (lower-case names) and the size of its body in bytes."""
    written = headers.get("ttl")
    if written is None:
        return Ruling("MissingHeader")
    if not (written.isascii() and written.isdigit()):
        return Ruling("InvalidTtl")
    topic = headers.get("topic", "")
    # Apple reads it as base64, in which one character more than a multiple of four cannot be.
    if "topic" in headers and (not _TOPIC.fullmatch(topic) or len(topic) % 4 == 1):
        return Ruling("InvalidTopic")
    urgency = headers.get("urgency", "normal")
    if urgency not in URGENCIES:
        return Ruling("MissingHeader")
    if size > MAX_BODY:
        return Ruling("PayloadTooLarge")
    if size and headers.get("content-encoding") != "aes128gcm":
        return Ruling("InvalidCryptoKeys")
    return Ruling("", min(int(written), LONGEST_TTL), urgency, topic)
