"""A device registers: its password is checked, its binding kept, and the calls held for it go out at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from kemi import auth, contact, inbound, ksr, letters, mwi, pn_params, purr, wake, wake_rules, wire
from kemi.documents import connections, devices
from kemi.node import Node
from kemi.pn_params import Offer, Push, Refusal

_REFRESH_BEFORE_S = 121  # more than 120 (RFC 8599, 5.6.1.1)

# How each RegisterEvent begins.
_EVENT = wire.event_head(wire.RegisterEvent)
_ACTIONS = {1: "added", 2: "refreshed", 3: "removed", 4: "queried"}


def request(node: Node) -> int:
    """Handle a REGISTER (RFC 3261, 10.3; RFC 8599 for its push parameters)."""
    arrived = time.time()
    name = ksr.user_name()
    document = devices.get(name) if name else None
    if document is None:
        proven = auth.registering_pbx(node, name)
        if proven is not None:
            return _pbx(node, name, arrived) if proven else 1
    device, document = auth.prove(node, name, document)
    if document is None:
        return 1
    asked = _asked(device, ksr.headers("Contact"), ksr.header("Expires"), ksr.user_agent(), node.push)
    to_user = ksr.to_user()
    if to_user != device and to_user != document.aor.removeprefix("sip:").partition("@")[0]:
        return _refuse(
            node, asked, arrived, 403, "Not Your Address", "To is neither this device nor its user"
        )
    # One device is one binding (S2): one that brought a hundred would be rung a hundred times.
    if asked.contacts > 1:
        return _refuse(node, asked, arrived, 400, "One Contact Per Device", "More than one Contact")
    push = asked.push
    if isinstance(push, Refusal):
        ksr.append_header_to_reply(f'Warning: 399 {node.settings.domain} "{push.explanation}"')
        return _refuse(node, asked, arrived, push.code, push.phrase, push.explanation)
    for line in asked.feature_caps:
        # Who brings a token is told of one provider alone, and gets a reference.
        reference = f';+sip.pnspurr="{purr.of(device, arrived, node.key)}"' if push.tokens else ""
        ksr.append_header_to_reply(line + reference)
    uri = node.device_uri(device)
    flow = ksr.remember_source()
    ended = ksr.table_get(wake.TABLE_ENDED, device)
    if ended:
        ksr.append_header_to_reply(f"Nightbell-Call: {ended}")
    result = ksr.save_binding(uri)
    if result < 0:
        ksr.reply_error()
        _tell(node, asked.said, arrived, "refused", 400, "Contact or Expires could not be understood")
        return 1
    if ended:
        ksr.table_remove(wake.TABLE_ENDED, device)
    calls, due = [], []
    if result in (1, 2):
        calls = _ring_held_calls(node, device, uri, flow)
        due = letters.claim(device, flow, arrived)
    if result in (1, 3):
        _woke_or_slept(document)
    action = _ACTIONS.get(result, "refreshed")
    if due:
        calls += [entry.call for entry in due]
    _tell(node, asked.said_in_full, arrived, action, 200, calls=calls)
    letters.deliver(due)
    if result == 1:
        mwi.tell_new_binding(node, device, document.connection)
    return 1


class _Asked(NamedTuple):
    """What a REGISTER asks for: how many Contacts there are, the seconds granted, and what it says of push.

    ``feature_caps`` are the headers of the answer to that; ``said`` is what a RegisterEvent says of all this and of the device,
    as JSON, when it is refused; ``said_in_full`` when it is not.
    """

    contacts: int
    granted: int
    push: Push | Refusal
    feature_caps: tuple[str, ...]
    said: str
    said_in_full: str


@lru_cache(maxsize=4096)
def _asked(device: str, header: str, expires: str, user_agent: str, offer: Offer) -> _Asked:
    """Read the bodies of Contact, Expires and User-Agent: once, for a device sends the same ones at each refresh."""
    bound = contact.parse(header)
    seconds = bound.attributes.get("expires") or expires
    granted = _granted(seconds)
    said: dict[str, object] = {
        "device": device,
        "user_agent": user_agent,
        "contact": bound.uri[: pn_params.CONTACT_MAX],
        "expires": _seconds(seconds, 0),
        "granted": granted,
        "instance": bound.instance,
    }
    contacts = contact.count(header)
    try:
        # One that goes goes, whatever it says of push.
        push = pn_params.of_contact(header, offer) if granted else pn_params.NOTHING
    except Refusal as refusal:
        return _Asked(contacts, granted, refusal.with_traceback(None), (), wire.dumps(said), "")
    asks_to = push.tokens and "+sip.pnsreg" in bound.attributes
    # How long before its end a device that refreshes by itself has to do so, 0 for any other (RFC 8599, 4.1.4).
    refresh_before = min(_REFRESH_BEFORE_S, granted * 2 // 3) if asks_to else 0
    in_full = {**said, "tokens": push.tokens, "refresh_before": refresh_before, "reason": push.note}
    lines = tuple(f"Feature-Caps: {body}" for body in pn_params.feature_caps(push, offer, refresh_before))
    return _Asked(contacts, granted, push, lines, wire.dumps(said), wire.dumps(in_full))


def _refuse(node: Node, asked: _Asked, ts: float, code: int, phrase: str, reason: str) -> int:
    ksr.reply(code, phrase)
    _tell(node, asked.said, ts, "refused", code, reason)
    return 1


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
    source = f"{ksr.source_address()}:{ksr.source_port()}"
    bound = contact.parse(ksr.header("Contact"))
    seconds = _granted(bound.attributes.get("expires") or ksr.header("Expires"))
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


def _ring_held_calls(node: Node, device: str, uri: str, flow: str) -> list[str]:
    if not ksr.table_get(wake.TABLE_PARK, device):
        return []
    due = inbound.claim_held_calls(device, wake_rules.flow_word(flow, ksr.call_id(), ksr.cseq()))
    if not any(entry.flow for entry in due):
        return inbound.ring_held_calls(device, uri, due)
    # A second branch to one binding is taken for a mistake, even when the first has died; a copy of it is another binding.
    copy = node.device_uri(device + "~")
    if not ksr.save_copy(copy):
        return inbound.ring_held_calls(device, uri, due)
    try:
        return inbound.ring_held_calls(device, copy, due)
    finally:
        ksr.forget_copy(copy)


def _tell(
    node: Node, said: str, ts: float, action: str, code: int, reason: str = "", calls: Sequence[str] = ()
) -> None:
    """Send a RegisterEvent: this, and what ``said`` says; what is left out has its default."""
    source = f"{ksr.protocol()}:{ksr.source_address()}:{ksr.source_port()}"
    more = f'"calls":{wire.dumps(calls)},' if calls else ""
    if reason:
        more += f'"reason":{wire.dumps(reason)},'
    node.events.send_encoded(
        f'{_EVENT}"ts":{ts!r},"action":"{action}","reply":{code},"source":"{source}",{more}{said[1:]}'
    )
