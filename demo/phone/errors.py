"""What can go wrong with a scripted phone.

::

    PhoneError                 phone-error
    ├── AsleepError            phone-asleep        it has no socket: wake it first
    ├── TransportError         phone-transport     cannot reach the server, or the connection was lost
    ├── UnreadableError        phone-unreadable    bytes that are no SIP message, no SDP, no challenge
    ├── CallRefusedError       call-refused        the call ended without an answer
    ├── WrongStateError        call-state          that step is impossible in this state of the call
    └── StillWaitingError      phone-waiting       what was waited for did not happen in time (a TimeoutError)
"""

from __future__ import annotations


class PhoneError(Exception):
    """Base of everything this package raises; ``id`` is stable, the text is for people."""

    id = "phone-error"


class AsleepError(PhoneError):
    """The phone has no socket open."""

    id = "phone-asleep"


class TransportError(PhoneError):
    """The server could not be reached, or the connection to it was lost."""

    id = "phone-transport"


class UnreadableError(PhoneError, ValueError):
    """Bytes or text that do not follow the format they should have."""

    id = "phone-unreadable"


class CallRefusedError(PhoneError):
    """The call ended before anybody answered. ``status`` is the final SIP status, 0 when there was none."""

    id = "call-refused"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class WrongStateError(PhoneError):
    """The call is not in a state in which this step makes sense."""

    id = "call-state"


class StillWaitingError(PhoneError, TimeoutError):
    """The deadline passed before the condition came true."""

    id = "phone-waiting"
