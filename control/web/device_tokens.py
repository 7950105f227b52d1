"""/api/device/tokens: an app gives its push tokens when it signs in, without a REGISTER."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request
from flask_limiter import Limiter

from control.domain.device_json import token_as_dict
from control.domain.push import PushToken
from control.push.providers import names, vapid_key
from control.services import token_form, tokens
from control.settings import Settings
from control.store.session import Store
from control.web.device_login import device_of_request, failures_limited

LARGEST = 64 * 1024  # bytes of a request


def blueprint(settings: Settings, store: Store, limiter: Limiter, clock: Callable[[], float]) -> Blueprint:
    """The routes, on this store."""
    routes = Blueprint("device_tokens", __name__, url_prefix="/api/device/tokens")
    providers, vapid, domain = names(settings.push), vapid_key(settings.push), settings.edge.domain
    limited = failures_limited(limiter)

    @routes.get("")
    @limited
    def show() -> Response:
        with store.read() as session:
            return _shown(tokens.tokens_of(session, device_of_request(session, domain).id))

    @routes.put("")
    @limited
    def put() -> Response:
        request.max_content_length = LARGEST
        with store.write() as session:
            device = device_of_request(session, domain).id
            brought = token_form.read(request.get_json(silent=True), providers, vapid)
            tokens.store_tokens(session, device, brought, clock(), all_of_them=True)
            return _shown(tokens.tokens_of(session, device))

    @routes.delete("")
    @limited
    def delete() -> tuple[str, int]:
        with store.write() as session:
            tokens.store_tokens(session, device_of_request(session, domain).id, [], clock(), all_of_them=True)
        return "", 204

    return routes


def _shown(found: dict[str, list[PushToken]]) -> Response:
    return jsonify({"tokens": [token_as_dict(token) for held in found.values() for token in held]})
