"""What can go wrong with the fake registrar itself; misbehaviour towards its clients is no error, it is what it is for."""

from __future__ import annotations


# FakeRegistrarError
# ├── BehaviourError   an order names a knob that does not exist, or gives it a wrong value
# ├── MessageError     bytes that are no SIP request
# └── ControlError     the process does not start, or does not answer
class FakeRegistrarError(Exception):
    """Base of them all."""

    id = "fake-registrar"


class BehaviourError(FakeRegistrarError):
    """An order that cannot be followed; the text names the knob."""

    id = "fake-registrar-behaviour"


class MessageError(FakeRegistrarError):
    """Bytes that are no SIP request; the text says why."""

    id = "fake-registrar-message"


class ControlError(FakeRegistrarError):
    """The registrar's process did not start or did not answer; the text has its words."""

    id = "fake-registrar-control"
