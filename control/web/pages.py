"""The pages of the journal: all calls, and the story of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from control.domain.journal import CallHead, cursor_after
from control.domain.quality import Audio, Verdict
from control.domain.story import duration, summary, title
from control.domain.story_text import figures, moment, route
from control.services import journal
from control.store.session import Store
from control.web.api import wanted
from control.web.live import Version
from control.web.picture import course_points, draw

PAGE = 50
LIVE_S = 4 * 3600.0  # a call that began longer ago is not looked at again by itself
LATE_S = 10.0  # after its end a call is, for how its audio was comes a little later


def blueprint(store: Store, clock: Callable[[], float]) -> Blueprint:
    """The routes, reading from this store."""
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    def home() -> Response:
        return redirect(url_for("pages.calls"))

    @routes.get("/calls")
    def calls() -> str:
        cursor, which = request.args.get("cursor", ""), wanted()
        with store.read() as session:
            heads = journal.latest(session, PAGE, cursor, which)
        return render_template(
            "calls.html",
            calls=heads,
            wanted={name: value for name, value in asdict(which).items() if value},
            next_cursor=cursor_after(heads[-1]) if len(heads) == PAGE else "",
            live=not cursor,
        )

    @routes.get("/calls/<path:reference>")
    def call(reference: str) -> str:
        with store.read() as session:
            story = journal.story(session, reference)
        return render_template(
            "call.html",
            story=story,
            picture=draw(story),
            figures=figures(story),
            live=_goes_on(story.head, clock()),
        )

    @routes.app_context_processor
    def words() -> dict[str, object]:
        return {
            "duration": duration,
            "moment": moment,
            "route": route,
            "summary": summary,
            "title_of": title,
            "mood_of": _mood,
            "audio_mood": _audio_mood,
            "course_points": course_points,
        }

    return routes


def _audio_mood(verdict: Verdict) -> str:
    return {Audio.GOOD: "good", Audio.UNKNOWN: ""}.get(verdict.audio, "bad")


def versions(store: Store, clock: Callable[[], float]) -> Mapping[str, Version]:
    """By endpoint, what each live page shows in short."""

    def calls() -> object:
        with store.read() as session:
            return journal.latest(session, PAGE, wanted=wanted())

    def call() -> object:
        reference = (request.view_args or {})["reference"]
        with store.read() as session:
            head = journal.find(session, reference)
            return head, journal.size(session, head.call), _goes_on(head, clock())

    return {"pages.calls": calls, "pages.call": call}


def _goes_on(head: CallHead, now: float) -> bool:
    """Whether more is to be told of a call soon."""
    return now - head.ended_at < LATE_S if head.ended_at else now - head.started_at < LIVE_S


def _mood(head: CallHead) -> str:
    if head.outcome in ("answered", "delivered"):
        return "good"
    return "bad" if head.outcome else "live"
