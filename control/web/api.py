"""GET /api/calls: the journal as JSON."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from control.domain.errors import InvalidFieldError
from control.domain.journal import CallFilter, cursor_after
from control.domain.story_json import call_as_dict, story_as_dict
from control.services import journal
from control.store.session import Store

MAXIMUM = 500


def blueprint(store: Store) -> Blueprint:
    """The routes, reading from this store."""
    routes = Blueprint("api", __name__, url_prefix="/api")

    @routes.get("/calls")
    def calls() -> Response:
        limit = max(1, min(int(number("limit") or 50), MAXIMUM))
        with store.read() as session:
            heads = journal.latest(session, limit, request.args.get("cursor", ""), wanted())
        following = cursor_after(heads[-1]) if len(heads) == limit else None
        return jsonify({"calls": [call_as_dict(head) for head in heads], "next_cursor": following})

    @routes.get("/calls/<path:reference>")
    def call(reference: str) -> Response:
        with store.read() as session:
            return jsonify(story_as_dict(journal.story(session, reference)))

    return routes


def wanted() -> CallFilter:
    """Which calls the query string asks for. Raises InvalidFieldError."""
    words = {name: request.args.get(name, "") for name in ("device", "connection", "outcome")}
    return CallFilter(since=number("since") or 0.0, **words)


def number(name: str) -> float | None:
    """A positive number of the query string, None if it is not there. Raises InvalidFieldError."""
    text = request.args.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e12:
        raise InvalidFieldError(name, f"{text[:40]!r} is not a positive number")
    return value
