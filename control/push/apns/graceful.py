"""An HTTP/2 connection that goes on receiving after GOAWAY (RFC 9113 §6.8)."""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.events import Event
from hyperframe.frame import Frame, GoAwayFrame


class GracefulH2Connection(H2Connection):
    """h2 takes GOAWAY for the end: it raises ProtocolError on the answers that a server still sends to the
    streams it has accepted, and with it drops all events of the same read. This one lets them come.

    Headers are not normalized or checked on their way out: ours are fixed and right, the check costs 60 µs a
    push, and h2 would keep the long authorization header out of HPACK's table.
    """

    # How many closed streams it tells from streams that never were. One that we have reset may still be answered, for a
    # round trip or so; more of them is memory for nothing: h2's own 65,536 are 10 MB a connection.
    MAX_CLOSED_STREAMS = 4096

    def __init__(self) -> None:
        super().__init__(
            H2Configuration(
                client_side=True,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        frames, events = super()._receive_goaway_frame(frame)
        self.state_machine.state = ConnectionState.CLIENT_OPEN
        return frames, events
