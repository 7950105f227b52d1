"""The pages of the devices: how each stands, its tokens, how fast it wakes; and a button that calls it for a test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from control.domain.device_text import usual_time
from control.domain.reach import DeviceStanding, Reach
from control.domain.story import duration
from control.domain.wake_test import WakeTest
from control.domain.wakes import CALLED_OFF, LATE, WOKE, DeviceWake
from control.services import people, reach, wake_tests
from control.settings import Settings
from control.store.session import Store
from control.web.live import Version

_MOODS = {Reach.CONNECTED: "good", Reach.ASLEEP: "good", Reach.UNREACHABLE: "bad"}
_OUTCOMES = {"": "live", WOKE: "good", CALLED_OFF: "", LATE: "late"}  # the others are bad

BAR, STEP, HEIGHT = 14.0, 22.0, 96.0  # of the picture of the wakes, in its own pixels


@dataclass(frozen=True)
class Bar:
    """One wake in the picture: as high as it took long, on a logarithmic scale; without a time it is a stump."""

    x: float
    height: float
    mood: str
    words: str
    call: str


@dataclass(frozen=True)
class Wakes:
    """The picture of a device's last wakes, the oldest left; ``lines`` are heights with their labels."""

    width: float
    bars: tuple[Bar, ...]
    lines: tuple[tuple[float, str], ...]


def blueprint(settings: Settings, store: Store, clock: Callable[[], float]) -> Blueprint:
    """The routes, on this store."""
    routes = Blueprint("device_pages", __name__)

    @routes.get("/devices")
    def devices() -> str:
        return render_template("devices.html", devices=_standings(settings, store, clock()), live=True)

    @routes.get("/devices/<device>")
    def device(device: str) -> str:
        (found,) = _standings(settings, store, clock(), device)
        test = _latest_test(store, clock(), device)
        return render_template("device.html", found=found, picture=draw(found.wakes), test=test, live=True)

    @routes.post("/devices/<device>/wake")
    def wake(device: str) -> Response:
        with store.write() as session:
            wake_tests.want(session, device, settings.reach_terms, clock())
        # By GET: loading the page again must not call again. Without #test, as Chromium would not load it again by itself.
        return redirect(url_for(".device", device=device), 303)

    @routes.app_context_processor
    def words() -> dict[str, object]:
        return {
            "reach_mood": lambda found: _MOODS[found.reach.state],
            "wake_mood": lambda wake: _OUTCOMES.get(wake.outcome, "bad"),
            "usual_time": usual_time,
        }

    return routes


def versions(settings: Settings, store: Store, clock: Callable[[], float]) -> Mapping[str, Version]:
    """By endpoint, what each live page shows in short."""

    def devices() -> object:
        return _standings(settings, store, clock())

    def device() -> object:
        name = (request.view_args or {})["device"]
        return _standings(settings, store, clock(), name), _latest_test(store, clock(), name)

    return {"device_pages.devices": devices, "device_pages.device": device}


def _standings(
    settings: Settings, store: Store, now: float, device: str | None = None
) -> Sequence[DeviceStanding]:
    with store.read() as session:
        rows = people.list_devices(session) if device is None else [people.get_device(session, device)]
        return reach.of(session, rows, settings.reach_terms, now)


def _latest_test(store: Store, now: float, device: str) -> WakeTest | None:
    with store.read() as session:
        return wake_tests.latest(session, device, now)


def draw(newest_first: Sequence[DeviceWake]) -> Wakes:
    """The picture of some wakes: a bar each."""
    bars = tuple(
        Bar(
            x=index * STEP,
            height=6.0 if wake.seconds is None else _height(wake.seconds),
            mood=_OUTCOMES.get(wake.outcome, "bad"),
            words=f"{wake.outcome or 'under way'}"
            + ("" if wake.seconds is None else f", {duration(wake.seconds * 1000)} after the push"),
            call=wake.call,
        )
        for index, wake in enumerate(reversed(newest_first))
    )
    return Wakes(
        max(len(bars) * STEP, 10 * STEP),
        bars,
        tuple((_height(seconds), f"{seconds:g} s") for seconds in (0.1, 1.0, 10.0)),
    )


def _height(seconds: float) -> float:
    """Of 10 ms nothing, of 60 s all."""
    share = (math.log10(max(seconds, 0.01)) + 2) / (math.log10(60) + 2)
    return max(6.0, HEIGHT * min(1.0, share))
