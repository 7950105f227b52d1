"""GET /api/devices: how each device stands, and how fast it wakes, as JSON."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, jsonify

from control.domain.device_json import device_as_dict
from control.services import people, reach
from control.settings import Settings
from control.store.session import Store


def blueprint(settings: Settings, store: Store, clock: Callable[[], float]) -> Blueprint:
    """The routes, reading from this store."""
    terms = settings.reach_terms
    routes = Blueprint("devices", __name__, url_prefix="/api/devices")

    @routes.get("")
    def devices() -> Response:
        with store.read() as session:
            found = reach.of(session, people.list_devices(session), terms, clock())
        return jsonify({"devices": [device_as_dict(each) for each in found]})

    @routes.get("/<device>")
    def device(device: str) -> Response:
        with store.read() as session:
            row = people.get_device(session, device)
            (found,) = reach.of(session, [row], terms, clock())
        return jsonify(device_as_dict(found, details=True))

    return routes
