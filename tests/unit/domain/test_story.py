"""A call as a story: words, lanes, times, and the picture of it."""

from __future__ import annotations

import itertools

import pytest

from control.domain.journal import CallHead, Step, fold
from control.domain.phrases import Part
from control.domain.story import Story, duration, summary, tell, title
from control.domain.story_json import story_as_dict
from control.domain.story_text import as_text, figures
from control.web.picture import Lane, draw

PHONE, DESK = "alice-k7f3qd", "alice-9wz2mn"


def step(ms: float, name: str, device: str = "", provider: str = "", code: int = 0, **more: str) -> Step:
    return Step("k1", 1_700_000_000 + ms / 1000, name, device, provider, code=code, **more)


WOKEN = [
    step(0, "invite-in", direction="in", caller="1001", aor="sip:alice@nightbell.test"),
    step(0.9, "push-sent", PHONE, "apns"),
    step(15, "push-accepted", PHONE, "apns", 200),
    step(16, "ringing", code=180),
    step(412, "register", PHONE),
    step(413, "invite-out", PHONE),
    step(436, "ringing", PHONE, code=180),
    step(2950, "answered", PHONE, code=200),
    step(18950, "bye"),
]
IN_COMPANY = [*WOKEN[:-1], step(12, "invite-out", DESK)]
OUTBOUND = [
    step(0, "invite-in", PHONE, direction="out", callee="1001", aor="sip:alice@nightbell.test"),
    step(1, "invite-out"),
    step(2, "challenged", code=401),
    step(80, "ringing", code=180),
    step(900, "answered", code=200),
]


def story(steps: list[Step]) -> Story:
    return tell(fold(CallHead("k1", 0.0), steps), steps)


def test_u2_a_woken_call_reads_as_a_story() -> None:
    told = story(WOKEN)
    assert [beat.words for beat in told.beats] == [
        "The PBX rang",
        "Push sent to APNs",
        "Apple accepted it",
        "The PBX was told that it rings",
        "The phone woke and registered",
        "The call went to the phone",
        "The phone rings",
        "Answered",
        "The caller hung up",
    ]
    assert [actor.title for actor in told.actors] == ["PBX", "Nightbell", "Apple (APNs)", PHONE]
    assert title(told.head) == "1001 → alice"


@pytest.mark.parametrize(
    ("steps", "words", "who"),
    [
        ([*IN_COMPANY, step(18950, "bye")], "The caller hung up", ("PBX", PHONE)),
        ([*IN_COMPANY, step(18950, "device-bye")], "The called side hung up", (PHONE, "PBX")),
        ([*OUTBOUND, step(18950, "bye")], "The other end hung up", ("PBX", PHONE)),
        ([*OUTBOUND, step(18950, "device-bye")], "The phone hung up", (PHONE, "PBX")),
    ],
)
def test_u2_it_says_who_hung_up(steps: list[Step], words: str, who: tuple[str, str]) -> None:
    beat = story(steps).beats[-1]
    assert (beat.words, (beat.source.title, beat.target.title)) == (words, who)


def test_who_answers_after_the_fallback_is_not_the_phone_that_slept() -> None:
    steps = [
        *WOKEN[:3],
        step(20000, "fallback"),
        step(20500, "answered", code=200),
        step(30000, "device-bye"),
    ]
    told = story(steps)
    assert [beat.source.title for beat in told.beats[-2:]] == ["Fallback", "Fallback"]


def test_u2_nightbell_says_why_it_hung_up() -> None:
    beat = story([*WOKEN[:-1], step(18950, "bye", reason="no audio from either side for 60 s")]).beats[-1]
    assert (beat.words, beat.source.title) == ("Nightbell hung up", "Nightbell")
    assert beat.detail == "no audio from either side for 60 s"


def test_spans_are_what_is_worth_seeing() -> None:
    assert {span.kind: round(span.milliseconds) for span in story(WOKEN).spans} == {
        "held": 412,
        "ringing": 2514,
        "talking": 16000,
    }


def test_ringing_ends_where_that_device_declines() -> None:
    steps = [
        step(0, "invite-in"),
        step(10, "ringing", DESK, code=180),
        step(20, "ringing", PHONE, code=180),
        step(500, "device-refused", DESK, code=486),
        step(900, "answered", PHONE, code=200),
    ]
    rings = {
        span.actor.name: round(span.milliseconds) for span in story(steps).spans if span.kind == "ringing"
    }
    assert rings == {DESK: 490, PHONE: 880}


def test_an_outbound_call_is_told_from_the_devices_side() -> None:
    told = story(OUTBOUND)
    assert [actor.part for actor in told.actors] == [Part.DEVICE, Part.NIGHTBELL, Part.PBX]
    assert title(told.head) == "alice → 1001"
    assert told.summary == "Answered; they are talking."


def test_each_device_has_a_lane_of_its_own() -> None:
    steps = [
        step(0, "invite-in"),
        step(1, "invite-out", DESK),
        step(2, "push-sent", PHONE, "fcm"),
        step(3, "register", PHONE),
    ]
    lanes = [actor.title for actor in story(steps).actors]
    assert lanes == ["PBX", "Nightbell", "Google (FCM)", DESK, PHONE]


def test_the_figures_are_between_the_right_steps() -> None:
    found = {figure.name: round(figure.milliseconds, 1) for figure in figures(story(WOKEN))}
    assert found["to send the push"] == 0.9
    assert found["from waking to the call"] == 1.0
    assert found["to the first ring"] == 436.0, "telling the PBX that it rings is not yet a phone that rings"


def test_the_text_has_a_line_for_each_step_with_the_milliseconds() -> None:
    text = as_text(story(WOKEN))
    assert "1001 → alice" in text
    (line,) = (line for line in text.splitlines() if "accepted" in line and "Apple (APNs)" in line)
    assert line.split()[:4] == ["15", "ms", "+14", "ms"]


def test_the_json_has_the_same_steps() -> None:
    steps = story_as_dict(story(WOKEN))["steps"]
    assert [s["step"] for s in steps] == [s.step for s in WOKEN]
    assert steps[1]["gap_ms"] == 0.9


def test_a_call_without_steps_is_no_error() -> None:
    told = story([])
    assert (told.beats, told.actors) == ((), ())
    assert draw(told).marks == ()
    assert "Under way" in as_text(told)


def test_summaries_say_what_became_of_it() -> None:
    head = CallHead("k1", 1.0, outcome="failed", code=480, reason="No device woke up in time")
    assert summary(head) == "Not answered: no device woke up in time (480)."
    assert summary(CallHead("k1", 1.0, outcome="failed", code=486)) == "Not answered: busy (486)."
    assert (
        summary(CallHead("k1", 1.0, outcome="cancelled", code=487))
        == "The caller gave up before anybody answered."
    )


def test_durations_are_read_by_people() -> None:
    told = [duration(ms) for ms in (0, 0.44, 9.96, 38.2, 999.6, 2310, 59_960, 185_000)]
    assert told == ["0.0 ms", "0.4 ms", "10 ms", "38 ms", "1.00 s", "2.31 s", "1 min 00 s", "3 min 05 s"]


def test_in_the_picture_time_runs_to_the_right_and_long_waits_are_wider() -> None:
    picture = draw(story(WOKEN))
    xs = [mark.x for mark in picture.marks]
    assert all(b - a >= 40 for a, b in itertools.pairwise(xs)), "numbers must not touch"
    widths = {gap.label: gap.x2 - gap.x1 for gap in picture.gaps}
    assert widths["16.0 s"] > widths["396 ms"] > widths["0.9 ms"]
    assert all(mark.x < picture.width for mark in picture.marks)


def test_in_the_picture_each_step_leads_from_lane_to_lane() -> None:
    picture = draw(story(WOKEN))
    lane = {lane.title: lane.y for lane in picture.lanes}
    push, accepted = picture.marks[1], picture.marks[2]
    assert (push.y1, push.y2) == (lane["Nightbell"], lane["Apple (APNs)"])
    assert (accepted.y1, accepted.y2) == (lane["Apple (APNs)"], lane["Nightbell"])
    assert push.y1 < push.tail < push.y2
    assert accepted.y2 < accepted.tail < accepted.y1


def test_a_story_of_many_steps_makes_a_wider_picture_instead_of_a_crowded_one() -> None:
    steps = [step(0, "invite-in"), *(step(n, "push-sent", f"alice-{n}", "fcm") for n in range(1, 60))]
    assert draw(story(steps)).width > 2500


@pytest.mark.parametrize(
    ("title", "label"),
    [
        ("alice-k7f3qd", "alice-k7f3qd"),
        ("Apple (APNs)", "Apple (APNs)"),
        ("maria-fernanda.rodriguez-am57ng", "maria-…-am57ng"),
        ("mmmmmmmm.wwwwwwww-mwmwmw", "mm…-mwmwmw"),
    ],
)
def test_a_name_keeps_its_end_and_as_much_of_its_beginning_as_finds_room(title: str, label: str) -> None:
    assert Lane(title, "device", 0.0, 0.0).label == label
