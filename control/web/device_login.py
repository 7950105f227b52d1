"""A device proves itself to the API by HTTP Basic, with the credential that it registers with."""

from __future__ import annotations

from flask import request
from sqlalchemy.orm import Session
from werkzeug.exceptions import Unauthorized

from control.domain.secret import Secret
from control.services import people
from control.store.models import Device


def device_of_request(session: Session, realm: str) -> Device:
    """The device that asks. Raises Unauthorized, the same for a name that nobody has and for a wrong password."""
    given = request.authorization
    if given is not None and given.type == "basic" and given.username and given.password:
        device = people.device_by_password(session, given.username, Secret(given.password), realm)
        if device is not None:
            return device
    # Without WWW-Authenticate: a browser would ask its user for a name and a password, over the page that has shown why.
    raise Unauthorized("This device's credential is not valid any more: ask for a new link.")


def who_asks() -> str:
    """What failures are counted by: the device named, and where from, as behind a proxy all come from one address."""
    given = request.authorization
    return f"{request.remote_addr} {(given.username or '')[:80] if given is not None else ''}"
