"""A phone that sends comfort noise (RFC 3389) while nobody speaks, as PBXs and desk phones do to save bandwidth."""

from __future__ import annotations

from sipmessage import Request

from demo.phone import IncomingCall, OutgoingCall, Phone
from demo.phone.call import Call
from demo.phone.core import Core
from demo.phone.rtp import Audio
from demo.phone.server_transaction import ServerTransaction
from tests.e2e.peer_pbx import PbxPhone

_CN = 13
_EVERY = 10  # packets of silence: one of noise
_LEVEL = bytes([70])  # -70 dBov, hardly to be heard


class QuietAudio(Audio):
    """In place of silence it says how loud the silence is, now and then; ``noise_in`` and ``noise_out`` count such packets."""

    def __init__(self, local: str) -> None:
        super().__init__(local)
        self.noise_in = 0
        self.noise_out = 0
        self._silent = 0

    def _transmit(self, packet: bytes, remote: tuple[str, int]) -> None:
        if self._tone is not None:
            self._silent = 0
            super()._transmit(packet, remote)
            return
        self._silent += 1
        if self._silent % _EVERY == 1:
            self.noise_out += 1
            super()._transmit(bytes([packet[0], _CN]) + packet[2:12] + _LEVEL, remote)
        else:
            self._sequence -= 1  # what is not sent has no number: it is not lost

    def _receive(self, data: bytes) -> None:
        self.noise_in += len(data) > 12 and data[0] >> 6 == 2 and data[1] & 0x7F == _CN
        super()._receive(data)


class _QuietCall(Call):
    audio: QuietAudio

    def _describe(self, direction: str, payloads: tuple[int, ...]) -> bytes:
        lines = super()._describe(direction, payloads).split(b"\r\n")
        at = next(n for n, line in enumerate(lines) if line.startswith(b"m=audio "))
        return b"\r\n".join(
            [*lines[:at], lines[at] + b" %d" % _CN, b"a=rtpmap:%d CN/8000" % _CN, *lines[at + 1 :]]
        )


class _QuietOutgoing(_QuietCall, OutgoingCall):
    pass


class _QuietIncoming(_QuietCall, IncomingCall):
    pass


class QuietPhone(Phone):
    """A device of that kind."""

    async def _outgoing_call(
        self, core: Core, uri: str, headers: tuple[tuple[str, str], ...]
    ) -> OutgoingCall:
        return _QuietOutgoing(core, QuietAudio(self.local), uri, headers)

    def _incoming_call(self, core: Core, request: Request, transaction: ServerTransaction) -> IncomingCall:
        return _QuietIncoming(core, QuietAudio(self.local), request, transaction)


class QuietPbx(QuietPhone, PbxPhone):
    """A PBX of that kind."""
