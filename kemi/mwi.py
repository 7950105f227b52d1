"""Message waiting: what the PBX says of a mailbox goes to the devices, now to those awake, to the others when they register."""

from __future__ import annotations

import time

from kemi import call_mark, ksr, message_summary, wire
from kemi.auth import Origin
from kemi.documents import lines
from kemi.message_summary import Summary
from kemi.node import Node

_LONGEST = 2048  # bytes of a body that are looked at


def notify(node: Node, origin: Origin) -> None:
    """Look at a NOTIFY that nobody asked for; it is accepted whatever becomes of it (R5)."""
    if not ksr.header("Event").lower().startswith(message_summary.EVENT) or ksr.pv_int("$bs") > _LONGEST:
        return
    summary = message_summary.read(ksr.pv("$rb"))
    if summary is None:
        return
    before = message_summary.read_note(ksr.table_get(wire.TABLE_SUMMARY, origin.connection))
    if summary == before:
        return
    ksr.table_set(wire.TABLE_SUMMARY, origin.connection, summary.note)
    asleep = []
    for document in (d for d in (lines.get(a) for a in origin.aors) if d is not None):
        for device in document.devices:
            if not _tell(node, device.id, summary) and document.voicemail:
                asleep.append(device.id)
    if not summary.is_news_after(before):
        asleep = []
    node.events.send(
        wire.VoicemailEvent(time.time(), origin.connection, summary.new, asleep, summary.old, summary.waiting)
    )


def tell_new_binding(node: Node, device: str, connection: str) -> None:
    """A device is there anew: tell it what is known of the mailbox of its connection."""
    summary = message_summary.read_note(ksr.table_get(wire.TABLE_SUMMARY, connection))
    if summary is not None:
        _tell(node, device, summary)


def _tell(node: Node, device: str, summary: Summary) -> bool:
    """Send the summary to a device, unasked; False when it is asleep."""
    contact, flow, socket = ksr.bound_contact(node.device_uri(device))
    if not contact:
        return False
    address = f"<{node.device_uri(device)}>"
    ksr.tm_send(
        "NOTIFY",
        contact,
        flow,
        socket,
        f"From: {address};tag={call_mark.new_reference()}\r\nTo: {address}\r\n"
        f"Call-ID: {call_mark.new_reference()}\r\nCSeq: 1 NOTIFY\r\n"
        f"Contact: <sip:{node.settings.address}:{node.settings.sip_port}>\r\n"
        f"Event: {message_summary.EVENT}\r\nSubscription-State: active\r\n"
        f"Content-Type: {message_summary.CONTENT_TYPE}\r\n",
        summary.body,
    )
    return True
