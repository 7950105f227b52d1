"""Who is asking: digest for devices, addresses for PBXs. Strangers get the same answer in the same time, known name or not."""

from __future__ import annotations

import time
from typing import NamedTuple

from kemi import ksr, wire
from kemi.documents import connections, devices, numbers
from kemi.node import Node

# An unknown user name takes the same path as a known one with a wrong password; no password has this HA1.
_NOBODY = "0" * 32


def device(node: Node) -> tuple[str, wire.DeviceDoc | None]:
    """The device that sent this request; when it is not proven, the challenge is already sent and the document is None."""
    name = ksr.user_name()
    return prove(node, name, devices.get(name) if name else None)


def prove(node: Node, name: str, document: wire.DeviceDoc | None) -> tuple[str, wire.DeviceDoc | None]:
    """The same, of a request whose user name and document have been looked up."""
    realm = node.settings.realm
    if name:
        outcome = ksr.digest_check(realm, document.ha1 if document else _NOBODY)
        if outcome == ksr.DIGEST_OK and document:
            return name, document
        if outcome == ksr.DIGEST_WRONG:
            reason = "wrong password" if document else "unknown device"
            node.events.send(wire.RegisterEvent(time.time(), name, "refused", 401, reason))
    ksr.digest_challenge(realm)
    return name, None


def registering_pbx(node: Node, name: str) -> bool | None:
    """When the PBX of this connection registers at us: whether it is proven (if not, the challenge is already sent)."""
    document = connections.get(name) if name else None
    if document is None or not document.ha1_inbound:
        return None
    if ksr.digest_check(node.settings.realm, document.ha1_inbound) == ksr.DIGEST_OK:
        return True
    ksr.digest_challenge(node.settings.realm)
    return False


class Origin(NamedTuple):
    """A request that came from a PBX: over which connection, and whom it is for."""

    connection: str
    document: wire.ConnectionDoc
    aors: list[str]


def from_pbx() -> Origin | None:
    """The connection whose PBX sent this request, None when no PBX did.

    It is known by the connection's id in the Request-URI and an address of that PBX behind it; a trunk by its address
    alone; a PBX that registers at us by the flow it registered by.
    """
    name, source = ksr.pv("$rU"), ksr.source_address()
    document = connections.get(name) if name else None
    if document is not None and source in document.sources:
        return Origin(name, document, document.aors)
    trunk = _trunk(source, name)
    if trunk is not None:
        return trunk
    connection = ksr.table_get(wire.TABLE_ARRIVED, f"{source}:{ksr.source_port()}")
    document = connections.get(connection) if connection else None
    if document is None:
        return None
    number = numbers.get(f"{connection}/{name}")
    return Origin(connection, document, number.aors if number else document.aors)


def _trunk(source: str, called: str) -> Origin | None:
    """The trunk from that address: the one that has the number, else the first that rings somebody for any."""
    otherwise = None
    for connection in ksr.table_get(wire.TABLE_TRUNK, source).split():
        trunk = connections.get(connection)
        if trunk is None:
            continue
        number = numbers.get(f"{connection}/{called}")
        if number is not None:
            return Origin(connection, trunk, number.aors)
        if trunk.aors and otherwise is None:
            otherwise = Origin(connection, trunk, trunk.aors)
    return otherwise
