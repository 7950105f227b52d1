"""What one Kamailio process holds on to between messages: its settings and its way out for events."""

from __future__ import annotations

from dataclasses import dataclass

from kemi import call_mark, ksr
from kemi.call_mark import Mark
from kemi.documents import Table
from kemi.events import Events
from kemi.pn_params import Offer
from kemi.settings import Settings


@dataclass(frozen=True)
class Node:
    """This process's part of the edge."""

    settings: Settings
    events: Events
    key: bytes
    push: Offer

    @classmethod
    def create(cls, settings: Settings) -> Node:
        """The node of a process that has just been forked."""
        key = bytes.fromhex(settings.identity_key)
        Table.secret = key
        push = Offer(tuple(settings.push.split()), settings.vapid)
        return cls(settings, Events(settings), key, push)

    def device_uri(self, device: str) -> str:
        """The URI under which a device's binding is kept."""
        return f"sip:{device}@{self.settings.domain}"

    def stay_in_dialog(self, mark: Mark) -> None:
        """Record-Route this request, with the call's mark."""
        ksr.record_route(f";{call_mark.PARAMETER}={call_mark.seal(mark, ksr.call_id(), self.key)}")

    def mark_of_dialog(self, route: str) -> Mark | None:
        """The mark of the call an in-dialog request with that Route belongs to, None when that is not of our making."""
        return call_mark.unseal(call_mark.in_route(route), ksr.call_id(), self.key)
