"""A device proves itself to the API by HTTP Basic, with the credential that it registers with. Who guesses is slowed down."""

from __future__ import annotations

import math
import time
from http import HTTPStatus

from flask import request
from flask_limiter import Limiter, RouteLimit
from sqlalchemy.orm import Session
from werkzeug.exceptions import Unauthorized

from control.domain.secret import Secret
from control.services import people
from control.store.models import Device

FAILURES = "10 per minute"  # of one device's from one place, whatever was asked for; then 429


def device_of_request(session: Session, realm: str) -> Device:
    """The device that asks. Raises Unauthorized, the same for a name that nobody has and for a wrong password."""
    given = request.authorization
    if given is not None and given.type == "basic" and given.username and given.password:
        device = people.device_by_password(session, given.username, Secret(given.password), realm)
        if device is not None:
            return device
    # Without WWW-Authenticate: a browser would ask its user for a name and a password, over the page that has shown why.
    raise Unauthorized("This device's credential is not valid any more: ask for a new link.")


def failures_limited(limiter: Limiter) -> RouteLimit:
    """Decorates what asks for ``device_of_request``: one count of failures for all of it. The server is one process, and so is the
    count.
    """
    return limiter.shared_limit(
        FAILURES,
        "device-login",
        key_func=_who_asks,
        deduct_when=lambda response: response.status_code == HTTPStatus.UNAUTHORIZED,
    )


def seconds_to_wait(limiter: Limiter) -> int:
    """How long this request's limit still holds."""
    limit = limiter.current_limit
    return max(1, math.ceil(limit.reset_at - time.time())) if limit else 1


def _who_asks() -> str:
    """What failures are counted by: the device named, and where from, as behind a proxy all come from one address."""
    given = request.authorization
    return f"{request.remote_addr} {(given.username or '')[:80] if given is not None else ''}"
