"""/api/phone: a one-time link becomes a device's account, and a device asks for what has changed of it.

Neither knows cookies: whoever asks must hold the code or the password. So pages of any origin may ask, and embed the phone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask_limiter import Limiter

from control.domain.errors import InvalidFieldError
from control.domain.secret import Secret
from control.services import phone_links
from control.settings import Settings
from control.store.session import Store
from control.web.device_login import device_of_request, failures_limited
from control.web.phone.account import Accounts

_LONGEST = 200  # characters of a code; ours has 32


def blueprint(settings: Settings, store: Store, limiter: Limiter, clock: Callable[[], float]) -> Blueprint:
    """The routes, on this store."""
    routes = Blueprint("phone_api", __name__, url_prefix="/api/phone")
    accounts = Accounts(settings)

    @routes.post("/redeem")
    def redeem() -> Response:
        with store.write() as session:
            device, password = phone_links.redeem(session, _code(), settings.edge.domain, clock())
            account = accounts.of(device, clock())
        return jsonify({**account, "password": password.reveal()})

    @routes.get("/account")
    @failures_limited(limiter)
    def account() -> Response:
        with store.read() as session:
            return jsonify(accounts.of(device_of_request(session, settings.edge.domain), clock()))

    return routes


def _code() -> Secret:
    # The type is asked for: a form of another site cannot send it without being asked first (CORS).
    body: Any = request.get_json(silent=True)
    code = body.get("code") if isinstance(body, dict) else None
    if not isinstance(code, str) or not code.strip() or len(code) > _LONGEST:
        raise InvalidFieldError(
            "code", 'send {"code": "…"} as application/json: the part of the link after #'
        )
    return Secret(code.strip())
