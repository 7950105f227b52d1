"""/api/devices: how each device stands and how fast it wakes, as JSON; and test calls, with how far they came."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, jsonify, url_for

from control.domain.device_json import device_as_dict
from control.domain.story_json import wake_test_as_dict
from control.services import people, reach, wake_tests
from control.settings import Settings
from control.store.session import Store


def blueprint(settings: Settings, store: Store, clock: Callable[[], float]) -> Blueprint:
    """The routes, on this store."""
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

    @routes.post("/<device>/wake")
    def wake(device: str) -> tuple[Response, int, dict[str, str]]:
        with store.write() as session:
            test = wake_tests.want(session, device, terms, clock())
        where = url_for(".woken", device=test.device, test=test.id)
        return jsonify(wake_test_as_dict(test)), 202, {"Location": where}

    @routes.get("/<device>/wake/<test>")
    def woken(device: str, test: str) -> Response:
        with store.read() as session:
            return jsonify(wake_test_as_dict(wake_tests.get(session, device, test, clock())))

    return routes
