"""Who is asking: digest for devices, addresses for PBXs. Strangers get the same answer in the same time, known name or not."""

from __future__ import annotations

import time

from kemi import ksr, trust, wire
from kemi.documents import connections, devices
from kemi.node import Node

# An unknown user name takes the same path as a known one with a wrong password; no password has this HA1.
_NOBODY = "0" * 32


def device(node: Node) -> tuple[str, wire.DeviceDoc | None]:
    """The device that sent this request; when it is not proven, the challenge is already sent and the document is None."""
    name = ksr.pv("$au")
    document = devices.get(name) if name else None
    realm = node.settings.realm
    if name:
        outcome = ksr.digest_check(realm, document.ha1 if document else _NOBODY)
        if outcome == ksr.DIGEST_OK and document:
            trust.remove_credentials()
            return name, document
        if outcome == ksr.DIGEST_WRONG:
            reason = "wrong password" if document else "unknown device"
            node.events.send(wire.RegisterEvent(time.time(), name, "refused", 401, reason))
    ksr.digest_challenge(realm)
    return name, None


def pbx_connection() -> tuple[str, wire.ConnectionDoc | None]:
    """The connection whose PBX sent this request: its contact user in the Request-URI, and an address of that PBX behind it."""
    name = ksr.pv("$rU")
    document = connections.get(name) if name else None
    if document is None or ksr.pv("$si") not in document.sources:
        return name, None
    return name, document
