"""A desk phone that knows telephone-events (RFC 4733), for tests of what becomes of keys that are sent by INFO."""

from __future__ import annotations

import contextlib
import re

from sipmessage import Request

from demo.phone import IncomingCall, OutgoingCall, Phone
from demo.phone.call import Call
from demo.phone.core import Core
from demo.phone.errors import StillWaitingError
from demo.phone.rtp import Audio
from demo.phone.server_transaction import ServerTransaction
from tests.e2e.keys.keypad import KEYS

TYPE = 101


class EventAudio(Audio):
    """Notes the events that come in: ``pressed``."""

    def __init__(self, local: str) -> None:
        super().__init__(local)
        self.pressed = ""
        self._seen: set[int] = set()

    async def have_come(self, keys: str, within: float = 8.0) -> bool:
        """Whether just these keys are pressed at the other side."""
        with contextlib.suppress(StillWaitingError):
            await self._changes.until(lambda: len(self.pressed) >= len(keys), within, "the keys")
        return self.pressed == keys

    def _receive(self, data: bytes) -> None:
        super()._receive(data)
        if data[1] & 0x7F == TYPE:
            timestamp = int.from_bytes(data[4:8], "big")
            if timestamp not in self._seen:
                self._seen.add(timestamp)
                self.pressed += KEYS[data[-4]]
                self._changes.notify()


class _EventCall(Call):
    """Its descriptions have telephone-events, but an answer to an offer without any."""

    _offered = True

    def _describe(self, direction: str, payloads: tuple[int, ...]) -> bytes:
        plain = super()._describe(direction, payloads)
        if not self._offered:
            return plain
        named = re.sub(rb"^(m=audio .*?)\r$", rb"\g<1> %d\r" % TYPE, plain, count=1, flags=re.MULTILINE)
        return named + b"a=rtpmap:%d telephone-event/8000\r\n" % TYPE

    def _answer_to(self, offer: bytes) -> bytes | None:
        self._offered = b"telephone-event" in offer
        return super()._answer_to(offer)


class EventOutgoingCall(_EventCall, OutgoingCall):
    """A call it makes."""


class EventIncomingCall(_EventCall, IncomingCall):
    """A call it gets."""


class EventPhone(Phone):
    """A desk phone that knows telephone-events."""

    async def _outgoing_call(
        self, core: Core, uri: str, headers: tuple[tuple[str, str], ...]
    ) -> OutgoingCall:
        return EventOutgoingCall(core, EventAudio(self.local), uri, headers)

    def _incoming_call(self, core: Core, request: Request, transaction: ServerTransaction) -> IncomingCall:
        return EventIncomingCall(core, EventAudio(self.local), request, transaction)
