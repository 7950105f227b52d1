"""A device registers: its password is checked, its binding kept, and the calls held for it go out at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from kemi import auth, contact, inbound, ksr, letters, mwi, pn_params, purr, wake, wake_rules, wire
from kemi.documents import connections, devices
from kemi.node import Node
from kemi.pn_params import Refusal

_REFRESH_BEFORE_S = 121  # more than 120 (RFC 8599, 5.6.1.1)

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
    asked = _Asked.of(ksr.header("Contact"))
    if ksr.pv("$tU") not in (device, document.aor.removeprefix("sip:").partition("@")[0]):
        return _refuse(
            node, asked, arrived, device, 403, "Not Your Address", "To is neither this device nor its user"
        )
    if _several_contacts(asked):
        return _refuse(node, asked, arrived, device, 400, "One Contact Per Device", "More than one Contact")
    try:
        # One that goes goes, whatever it says of push.
        push = pn_params.of_contact(asked.header, node.push) if asked.granted else pn_params.NOTHING
    except Refusal as refusal:
        ksr.append_header_to_reply(f'Warning: 399 {node.settings.domain} "{refusal.explanation}"')
        return _refuse(node, asked, arrived, device, refusal.code, refusal.phrase, refusal.explanation)
    refresh_before = asked.refresh_before if push.tokens else 0
    reference = purr.of(device, arrived, node.key) if push.tokens else ""
    for body in pn_params.feature_caps(push, node.push, refresh_before, reference):
        ksr.append_header_to_reply(f"Feature-Caps: {body}")
    uri = node.device_uri(device)
    flow = ksr.remember_source()
    ended = ksr.table_get(wake.TABLE_ENDED, device)
    if ended:
        ksr.append_header_to_reply(f"Nightbell-Call: {ended}")
    result = ksr.save_binding(uri)
    if result < 0:
        ksr.reply_error()
        _tell(node, asked, arrived, device, "refused", 400, "Contact or Expires could not be understood")
        return 1
    if ended:
        ksr.table_remove(wake.TABLE_ENDED, device)
    calls = _ring_held_calls(node, device, flow, arrived) if result in (1, 2) else []
    due = []
    if result in (1, 2):
        due = letters.claim(device, flow, arrived, (ksr.pv("$ci"), ksr.pv("$cs")))
    if result in (1, 3):
        _woke_or_slept(document)
    action = _ACTIONS.get(result, "refreshed")
    waited = [*calls, *(entry.call for entry in due)]
    _tell(node, asked, arrived, device, action, 200, push.note, push.tokens, waited, refresh_before)
    letters.deliver(due)
    if result == 1:
        mwi.tell_new_binding(node, device, document.connection)
    return 1


class _Asked(NamedTuple):
    """What a REGISTER asks for: its Contact, read once, and the seconds that it is granted."""

    header: str
    bound: contact.Contact
    seconds: str
    granted: int

    @classmethod
    def of(cls, header: str) -> _Asked:
        bound = contact.parse(header)
        seconds = bound.attributes.get("expires") or ksr.header("Expires")
        return cls(header, bound, seconds, _granted(seconds))

    @property
    def refresh_before(self) -> int:
        """How long before its end a device that refreshes by itself has to do so, 0 for any other (RFC 8599, 4.1.4)."""
        return min(_REFRESH_BEFORE_S, self.granted * 2 // 3) if "+sip.pnsreg" in self.bound.attributes else 0


def _refuse(node: Node, asked: _Asked, ts: float, device: str, code: int, phrase: str, reason: str) -> int:
    ksr.reply(code, phrase)
    _tell(node, asked, ts, device, "refused", code, reason)
    return 1


def _several_contacts(asked: _Asked) -> bool:
    """One device is one binding (S2): one that brought a hundred would be rung a hundred times."""
    return bool(ksr.pv("$(hdr(Contact)[1])")) or contact.count(asked.header) > 1


def expired(node: Node) -> int:
    """Event of module registrar: a binding has run out, or its connection is gone."""
    name = ksr.pv("$ulc(exp=>aor)").partition("@")[0].removeprefix("sip:")
    flow = ksr.pv("$ulc(exp=>received)")
    document = devices.get(name)
    if document is not None:
        _woke_or_slept(document)
        reason = f"its registration by {flow} ran out, or the connection was closed"
        node.events.send(wire.RegisterEvent(time.time(), name, "lost", 0, reason))
        return 1
    connection = connections.get(name)
    if connection is not None and connection.ha1_inbound:
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
    seconds = _Asked.of(ksr.header("Contact")).granted
    if result == 3:
        ksr.table_remove(wire.TABLE_ARRIVED, source)
    else:
        ksr.table_set_for(wire.TABLE_ARRIVED, source, connection, seconds)
    state = "unregistered" if result == 3 else "registered"
    node.events.send(
        wire.UpstreamEvent(arrived, connection, state, 200, f"it registered at us by {flow}", expires=seconds)
    )
    return 1


def _granted(seconds: str) -> int:
    """Seconds a binding is granted, as kamailio.cfg has it (registrar: default_expires, min_expires, max_expires)."""
    asked = _seconds(seconds, 600)
    return asked and min(max(asked, 30), 7200)


def _seconds(text: str, otherwise: int) -> int:
    """A number of seconds as SIP writes it (RFC 3261, 25.1: delta-seconds), else ``otherwise``."""
    text = text.strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else otherwise


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
    node: Node,
    asked: _Asked,
    ts: float,
    device: str,
    action: str,
    code: int,
    reason: str,
    tokens: Sequence[wire.Token] = (),
    calls: list[str] | None = None,
    refresh_before: int = 0,
) -> None:
    node.events.send(
        wire.RegisterEvent(
            ts=ts,
            device=device,
            action=action,
            reply=code,
            reason=reason,
            contact=asked.bound.uri[: pn_params.CONTACT_MAX],
            expires=_seconds(asked.seconds, 0),
            source=f"{ksr.pv('$pr')}:{ksr.pv('$si')}:{ksr.pv_int('$sp')}",
            user_agent=ksr.pv("$ua"),
            instance=asked.bound.instance,
            tokens=[list(token) for token in tokens],
            calls=calls or [],
            granted=asked.granted,
            refresh_before=refresh_before,
        )
    )
