"""The pages of the journal: all calls, and the story of one."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from control.domain.journal import CallHead
from control.domain.quality import Audio, Verdict
from control.domain.story import duration, summary, title
from control.domain.story_text import figures, moment, route
from control.services import journal
from control.store.session import Store
from control.web.api import number
from control.web.picture import course_points, draw

PAGE = 50
LIVE_S = 4 * 3600.0  # a call that began longer ago is not looked at again by itself


def blueprint(store: Store, clock: Callable[[], float]) -> Blueprint:
    """The routes, reading from this store."""
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    def home() -> Response:
        return redirect(url_for("pages.calls"))

    @routes.get("/calls")
    def calls() -> str:
        before = number("before")
        with store.read() as session:
            heads = journal.latest(session, PAGE, before)
        following = heads[-1].started_at if len(heads) == PAGE else None
        return render_template("calls.html", calls=heads, next_before=following, first=before is None)

    @routes.get("/calls/<path:reference>")
    def call(reference: str) -> str:
        with store.read() as session:
            story = journal.story(session, reference)
        return render_template(
            "call.html",
            story=story,
            picture=draw(story),
            figures=figures(story),
            live=_under_way(story.head) and clock() - story.head.started_at < LIVE_S,
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


def _under_way(head: CallHead) -> bool:
    return not head.ended_at


def _mood(head: CallHead) -> str:
    if head.outcome == "answered":
        return "good"
    return "bad" if head.outcome else "live"
