"""A device registers: its password is checked, its binding kept, and the calls held for it go out at once."""

from __future__ import annotations

import re
import time

from kemi import auth, contact, inbound, ksr, wake, wake_rules, wire
from kemi.documents import connections, devices
from kemi.node import Node

_ACTIONS = {1: "added", 2: "refreshed", 3: "removed", 4: "queried"}


def request(node: Node) -> int:
    """Handle a REGISTER (RFC 3261, 10.3; RFC 8599 for its push parameters)."""
    arrived = time.time()
    registering = auth.registering_pbx(node)
    if registering is not None:
        connection, proven = registering
        return _pbx(node, connection, arrived) if proven else 1
    device, document = auth.device(node)
    if document is None:
        return 1
    if ksr.pv("$tU") not in (device, document.aor.removeprefix("sip:").partition("@")[0]):
        ksr.reply(403, "Not Your Address")
        _tell(node, arrived, device, "refused", 403, "To is neither this device nor its user")
        return 1
    if _several_contacts():
        ksr.reply(400, "One Contact Per Device")
        _tell(node, arrived, device, "refused", 400, "More than one Contact")
        return 1
    uri = node.device_uri(device)
    flow = ksr.remember_source()
    ended = ksr.table_get(wake.TABLE_ENDED, device)
    if ended:
        ksr.append_header_to_reply(f"Nightbell-Call: {ended}")
    result = ksr.save_binding(uri)
    if result < 0:
        ksr.reply_error()
        _tell(node, arrived, device, "refused", 400, "Contact or Expires could not be understood")
        return 1
    if ended:
        ksr.table_remove(wake.TABLE_ENDED, device)
    calls = _ring_held_calls(node, device, flow, arrived) if result in (1, 2) else []
    if result in (1, 3):
        _woke_or_slept(document)
    _tell(node, arrived, device, _ACTIONS.get(result, "refreshed"), 200, "", calls)
    return 1


def _several_contacts() -> bool:
    """One device is one binding (S2): one that brought a hundred would be rung a hundred times."""
    return bool(ksr.pv("$(hdr(Contact)[1])")) or contact.count(ksr.header("Contact")) > 1


def expired(node: Node) -> int:
    """Event of module registrar: a binding has run out, or its connection is gone."""
    name = ksr.pv("$ulc(exp=>aor)").partition("@")[0].removeprefix("sip:")
    document = devices.get(name)
    if document is not None:
        _woke_or_slept(document)
        return 1
    connection = connections.get(name)
    if connection is not None and connection.ha1_inbound:
        flow = ksr.pv("$ulc(exp=>received)")
        ksr.table_remove(wire.TABLE_ARRIVED, flow.removeprefix("sip:").partition(";")[0])
        reason = f"its registration by {flow} was not renewed"
        node.events.send(wire.UpstreamEvent(time.time(), name, "unregistered", 0, reason))
    return 1


def _woke_or_slept(document: wire.DeviceDoc) -> None:
    """Let the registrar look again at the connections that are registered only while a device is awake."""
    for connection in document.rung_by:
        ksr.table_set(wire.TABLE_CHANGES, connection, "device")


def _pbx(node: Node, connection: str, arrived: float) -> int:
    """A PBX registers at us: calls out go to where it came from, and its calls are known by it."""
    flow = ksr.remember_source()
    result = ksr.save_binding(node.device_uri(connection))
    if result < 0:
        ksr.reply_error()
        return 1
    if result == 4:
        return 1  # it asked for its binding, and made none
    source = f"{ksr.pv('$si')}:{ksr.pv_int('$sp')}"
    seconds = _expires()
    if result == 3:
        ksr.table_remove(wire.TABLE_ARRIVED, source)
    else:
        ksr.table_set_for(wire.TABLE_ARRIVED, source, connection, seconds)
    state = "unregistered" if result == 3 else "registered"
    node.events.send(
        wire.UpstreamEvent(arrived, connection, state, 200, f"it registered at us by {flow}", expires=seconds)
    )
    return 1


def _expires() -> int:
    """Seconds the contact asks for, within what kamailio.cfg allows (registrar: default_expires, max_expires)."""
    return min(_seconds(_asked(), 600), 7200)


def _asked() -> str:
    return contact.parse(ksr.header("Contact")).attributes.get("expires") or ksr.header("Expires")


def _seconds(text: str, otherwise: int) -> int:
    """A number of seconds as SIP writes it (RFC 3261, 25.1: delta-seconds), else ``otherwise``."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text.strip()) else otherwise


def _ring_held_calls(node: Node, device: str, flow: str, now: float) -> list[str]:
    held = ksr.table_get(wake.TABLE_PARK, device)
    if not held:
        return []
    flow = wake_rules.flow_word(flow, ksr.pv("$ci"), ksr.pv("$cs"))
    uri = node.device_uri(device)
    if not wake_rules.must_ring_anew(held, flow, now):
        return inbound.ring_held_calls(device, uri, flow)
    # A second branch to one binding is taken for a mistake, even when the first has died; a copy of it is another binding.
    copy = node.device_uri(device + "~")
    if not ksr.save_copy(copy):
        return []
    try:
        return inbound.ring_held_calls(device, copy, flow)
    finally:
        ksr.forget_copy(copy)


def _tell(
    node: Node, ts: float, device: str, action: str, code: int, reason: str, calls: list[str] | None = None
) -> None:
    bound = contact.parse(ksr.header("Contact"))
    expires = bound.attributes.get("expires") or ksr.header("Expires")
    parameters = bound.parameters
    node.events.send(
        wire.RegisterEvent(
            ts=ts,
            device=device,
            action=action,
            reply=code,
            reason=reason,
            contact=bound.uri,
            expires=_seconds(expires, 0),
            source=f"{ksr.pv('$pr')}:{ksr.pv('$si')}:{ksr.pv_int('$sp')}",
            user_agent=ksr.pv("$ua"),
            instance=bound.instance,
            pn_provider=parameters.get("pn-provider", ""),
            pn_param=parameters.get("pn-param", ""),
            pn_prid=parameters.get("pn-prid", ""),
            calls=calls or [],
        )
    )
