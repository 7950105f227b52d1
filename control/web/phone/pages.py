"""/phone/: the page, its service worker and its manifest. They hold nothing of anybody's; the files are in static/."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, render_template, url_for

from control.settings import Settings

_STATIC = Path(__file__).parent / "static"


def blueprint(settings: Settings) -> Blueprint:
    """The routes."""
    routes = Blueprint(
        "phone", __name__, url_prefix="/phone", static_folder="static", template_folder="templates"
    )
    policy = _policy(settings.phone_websocket)

    @routes.get("/")
    def page() -> Response:
        return _page("phone.html")

    @routes.get("/example")
    def example() -> Response:
        return _page("phone_example.html")

    @routes.get("/sw.js")
    def worker() -> Response:
        names = sorted(str(p.relative_to(_STATIC)) for p in _STATIC.rglob("*") if p.suffix in _CACHED)
        files = [
            url_for("phone.page"),
            *(url_for("static", filename=name) for name in ("nightbell.css", "bell.svg")),
            *(url_for("phone.static", filename=name) for name in names),
        ]
        text = render_template("phone_worker.js", version=_version(policy), files=files)
        return Response(text, content_type="text/javascript; charset=utf-8")

    @routes.get("/manifest.webmanifest")
    def manifest() -> Response:
        text = render_template("phone.webmanifest")
        return Response(text, content_type="application/manifest+json; charset=utf-8")

    def _page(name: str) -> Response:
        response = make_response(render_template(name))
        response.headers["Content-Security-Policy"] = policy
        response.headers["Permissions-Policy"] = (
            "microphone=(self), speaker-selection=(self), camera=(), geolocation=()"
        )
        return response

    return routes


_CACHED = (".js", ".css", ".svg")


def _policy(websocket: str) -> str:
    """What the page may do (Content-Security-Policy): no inline script or style, nothing from elsewhere but SIP."""
    parts = urlsplit(websocket)
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; "
        f"worker-src 'self'; media-src 'self' blob:; connect-src 'self' {parts.scheme}://{parts.netloc}; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _version(policy: str) -> str:
    """Differs whenever a file of the page does: then browsers fetch all of them anew, and never a mixture."""
    digest = hashlib.sha256(policy.encode())
    for path in sorted([*_STATIC.rglob("*"), *(Path(__file__).parent / "templates").iterdir()]):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
