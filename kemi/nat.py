"""Devices behind address translation: answers and later requests go back through the flow they came by."""

from __future__ import annotations

from kemi import contact, ksr


def public_contact() -> None:
    """Rewrite the Contact of a device's request or reply for the PBX's eyes: its flow added, its push parameters gone."""
    body = ksr.header("Contact")
    if not body or ksr.from_ourselves():  # then it was rewritten the first time it came through
        return
    aliased = ksr.behind_nat()
    rewritten = contact.for_pbx(body, ksr.source_address(), ksr.source_port(), ksr.protocol(), aliased)
    if rewritten != body:
        ksr.remove_header("Contact")
        ksr.append_header("Contact: " + rewritten)
