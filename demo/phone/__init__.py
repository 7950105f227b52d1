"""A scripted SIP phone for the demo and the tests: it sleeps without a socket, wakes, registers, calls and hears tones."""

from demo.phone.call import Call, CallState, Ended
from demo.phone.errors import (
    AsleepError,
    CallRefusedError,
    PhoneError,
    StillWaitingError,
    TransportError,
    UnreadableError,
    WrongStateError,
)
from demo.phone.incoming import Answer, IncomingCall
from demo.phone.message import Recorded, Reply
from demo.phone.outgoing import OutgoingCall
from demo.phone.phone import Phone
from demo.phone.push_receiver import Delivery, PushReceiver
from demo.phone.registration import PushParams
from demo.phone.timers import Timers

__all__ = [
    "Answer",
    "AsleepError",
    "Call",
    "CallRefusedError",
    "CallState",
    "Delivery",
    "Ended",
    "IncomingCall",
    "OutgoingCall",
    "Phone",
    "PhoneError",
    "PushParams",
    "PushReceiver",
    "Recorded",
    "Reply",
    "StillWaitingError",
    "Timers",
    "TransportError",
    "UnreadableError",
    "WrongStateError",
]
