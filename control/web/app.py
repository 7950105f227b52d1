"""The Flask application: composition of health, API and pages, and the headers that go with every answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, render_template, request
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address
from sqlalchemy.exc import OperationalError, ProgrammingError
from werkzeug.exceptions import Forbidden, HTTPException, NotFound, SecurityError

from control.domain.errors import AmbiguousError, DomainError, GoneError, NotFoundError, NotPossibleError
from control.settings import LOOPBACK_NAMES, Settings
from control.store.session import Store
from control.web import api, device_login, device_pages, device_tokens, devices, health, live, pages
from control.web.phone import api as phone_api
from control.web.phone import pages as phone_pages

_HEADERS = {
    # Nothing from anywhere else, and no script but our own files.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


# What phones ask for, from wherever they are.
_OF_PHONES = ("/phone/", "/api/phone/", "/api/device/", "/static/")


def create_app(
    settings: Settings, store: Store | None = None, clock: Callable[[], float] = time.time
) -> Flask:
    """The application of one installation. Raises StoreError if its store cannot be opened."""
    app = Flask(__name__)
    # There are no logins yet, only the loopback address: a page of another site must not get at it under its own
    # name (DNS rebinding).
    own = {settings.web.address, *LOOPBACK_NAMES}
    phone = urlsplit(settings.phone_url).hostname or ""
    app.config["TRUSTED_HOSTS"] = _trusted({*own, phone})
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")
    opened = store or Store.open(settings.database.url, settings.home)
    app.register_blueprint(health.blueprint(opened, clock))
    app.register_blueprint(api.blueprint(opened))
    app.register_blueprint(devices.blueprint(settings, opened, clock))
    app.register_blueprint(pages.blueprint(opened, clock))
    app.register_blueprint(device_pages.blueprint(settings, opened, clock))
    app.register_blueprint(device_tokens.blueprint(settings, opened, limiter, clock))
    app.register_blueprint(phone_api.blueprint(settings, opened, limiter, clock))
    app.register_blueprint(phone_pages.blueprint(settings))
    if phone not in own:
        app.before_request(lambda: _only_the_phone(phone))
    app.before_request(_only_from_here)
    app.extensions[live.EXTENSION] = live.Live(
        app,
        _trusted(own),
        {**pages.versions(opened, clock), **device_pages.versions(settings, opened, clock)},
    )
    app.after_request(_with_headers)
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(SecurityError, _untrusted_host)
    app.register_error_handler(RateLimitExceeded, lambda _: _slow_down(limiter))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(ProgrammingError, _database_error)
    return app


def _trusted(hosts: set[str]) -> list[str]:
    return [f"[{host}]" if ":" in host else host for host in sorted(hosts)]


def _only_the_phone(host: str) -> None:
    """Under the name that the world knows there is the phone and nothing else: the other pages have no logins yet."""
    if urlsplit(f"//{request.host}").hostname == host and not request.path.startswith(_OF_PHONES):
        raise NotFound


def _only_from_here() -> None:
    """A page of another site must not do anything here by a form or a script in a browser that can reach us."""
    if request.method in ("GET", "HEAD", "OPTIONS") or request.path.startswith(_OF_PHONES):
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None:  # no browser, or one that is too old to say
        site = "none" if origin is None or urlsplit(origin).netloc == request.host else "cross-site"
    if site not in ("same-origin", "none"):
        raise Forbidden("This was asked for by a page of another site. Do it on Nightbell's own pages.")


def _with_headers(response: Response) -> Response:
    if request.path.startswith(_OF_PHONES):
        # What is asked for there takes a code or a password, never a cookie: pages of any origin may embed the phone.
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Headers"] = "authorization, content-type"
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint not in ("static", "phone.static"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _domain_error(error: DomainError) -> tuple[Response | str, int]:
    known = {NotFoundError: 404, AmbiguousError: 409, NotPossibleError: 409, GoneError: 410}
    status = known.get(type(error), 400)
    return _answer(status, error.id, str(error))


def _untrusted_host(error: SecurityError) -> Response:
    # No page of ours: it would hold links, and there is no host that they could lead to.
    return Response(f"{error.description}\n", 400, content_type="text/plain; charset=utf-8")


def _http_error(error: HTTPException) -> tuple[Response | str, int]:
    return _answer(
        error.code or 500, (error.name or "error").lower().replace(" ", "-"), error.description or ""
    )


def _slow_down(limiter: Limiter) -> tuple[Response | str, int, dict[str, str]]:
    seconds = device_login.seconds_to_wait(limiter)
    message = f"Too many attempts with a credential that is not valid: wait {seconds} seconds."
    return *_answer(429, "too-many-requests", message), {"Retry-After": str(seconds)}


def _database_error(_: Exception) -> tuple[Response | str, int]:
    return _answer(
        503, "database", "The database does not answer. Is it up, and has `nightbell init` been run?"
    )


def _answer(status: int, identity: str, message: str) -> tuple[Response | str, int]:
    if request.path.startswith(("/api/", "/health")):
        return jsonify({"error": {"id": identity, "message": message}}), status
    return render_template("error.html", status=status, message=message), status
