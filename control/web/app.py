"""The Flask application: composition of health, API and pages, and the headers that go with every answer."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Flask, Response, jsonify, render_template, request
from sqlalchemy.exc import OperationalError, ProgrammingError
from werkzeug.exceptions import HTTPException, SecurityError

from control.domain.errors import AmbiguousError, DomainError, NotFoundError
from control.settings import Settings
from control.store.session import Store
from control.web import api, devices, health, pages

_HEADERS = {
    # No scripts at all, and nothing from anywhere else.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(
    settings: Settings, store: Store | None = None, clock: Callable[[], float] = time.time
) -> Flask:
    """The application of one installation. Raises StoreError if its store cannot be opened."""
    app = Flask(__name__)
    # There are no logins yet, only the loopback address: a page of another site must not get at it under its own
    # name (DNS rebinding).
    app.config["TRUSTED_HOSTS"] = [settings.web.address, "localhost", "127.0.0.1", "[::1]"]
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    opened = store or Store.open(settings.database.url, settings.home)
    app.register_blueprint(health.blueprint(opened, clock))
    app.register_blueprint(api.blueprint(opened))
    app.register_blueprint(devices.blueprint(settings, opened, clock))
    app.register_blueprint(pages.blueprint(opened, clock))
    app.after_request(_with_headers)
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(SecurityError, _untrusted_host)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(ProgrammingError, _database_error)
    return app


def _with_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _domain_error(error: DomainError) -> tuple[Response | str, int]:
    status = {NotFoundError: 404, AmbiguousError: 409}.get(type(error), 400)
    return _answer(status, error.id, str(error))


def _untrusted_host(error: SecurityError) -> Response:
    # No page of ours: it would hold links, and there is no host that they could lead to.
    return Response(f"{error.description}\n", 400, content_type="text/plain; charset=utf-8")


def _http_error(error: HTTPException) -> tuple[Response | str, int]:
    return _answer(
        error.code or 500, (error.name or "error").lower().replace(" ", "-"), error.description or ""
    )


def _database_error(_: Exception) -> tuple[Response | str, int]:
    return _answer(
        503, "database", "The database does not answer. Is it up, and has `nightbell init` been run?"
    )


def _answer(status: int, identity: str, message: str) -> tuple[Response | str, int]:
    if request.path.startswith(("/api/", "/health")):
        return jsonify({"error": {"id": identity, "message": message}}), status
    return render_template("error.html", status=status, message=message), status
