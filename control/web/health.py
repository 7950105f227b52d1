"""GET /health: whether the database answers, an edge agent is at work, how many alarms stand, and which push
providers do not answer.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, jsonify
from sqlalchemy.exc import SQLAlchemyError

from control.services import alarms, heartbeat
from control.store.session import Store


def blueprint(store: Store, clock: Callable[[], float]) -> Blueprint:
    """The route, reading from this store."""
    routes = Blueprint("health", __name__)

    @routes.get("/health")
    def health() -> tuple[Response, int]:
        try:
            with store.read() as session:
                age = heartbeat.age(session, heartbeat.EDGE, clock())
                facts = heartbeat.facts(session, heartbeat.EDGE)
                standing = alarms.count(session)
        except SQLAlchemyError as error:
            # Its text may hold the URL, and so a password: the kind of error is all that is said.
            state: dict[str, object] = {
                "status": "down",
                "database": {"ok": False, "error": type(error).__name__},
                "edge": None,
            }
            return jsonify(state), 503
        alive = age is not None and age < heartbeat.STALE_S
        edge: dict[str, object] = {"ok": alive, "heartbeat_age_s": None if age is None else round(age, 3)}
        # An alarm is somebody's work, but no reason to take this host out of service.
        state = {
            "status": "ok" if alive else "degraded",
            "database": {"ok": True},
            "edge": edge,
            "media": {
                name: {"ok": alive and calls is not None, "calls": calls}
                for name, calls in facts.get("relays", {}).items()
            },
            "alarms": standing,
            "push": facts.get("push", {}) if alive else {},
        }
        return jsonify(state), 200 if alive else 503

    return routes
