"""Health, API and pages over HTTP."""

from __future__ import annotations

import html.parser
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from control import settings
from control.domain.connection import ConnectionSpec
from control.domain.journal import Step
from control.domain.mailbox import Mailbox
from control.domain.push import PushToken
from control.domain.quality import Heard, Leg, Quality, Side
from control.domain.secret import Secret
from control.domain.wakes import DeviceWake, WaitPolicy
from control.services import connections, heartbeat, installation, journal, mailboxes, people, tokens, wakes
from control.store.session import Store
from control.web import device_pages
from control.web.app import create_app
from tests.integration.web.conftest import NOW


def record(store: Store, call: str = "k3f9a2", at: float = NOW - 50, caller: str = "1001") -> None:
    steps = [
        Step(call, at, "invite-in", direction="in", caller=caller, aor="sip:alice@nightbell.test"),
        Step(call, at + 0.0009, "push-sent", "alice-k7f3qd", "apns"),
        Step(call, at + 2.0, "answered", "alice-k7f3qd", code=200),
        Step(call, at + 9.0, "bye"),
    ]
    with store.write() as session:
        journal.record(session, steps)


class Page(html.parser.HTMLParser):
    """All elements with their attributes; and what is open must be closed."""

    VOID = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def attributes(self, tag: str, name: str) -> list[str]:
        return [value for t, attrs in self.elements if t == tag and (value := attrs.get(name)) is not None]


def test_p4_health_is_good_while_the_edge_agent_beats_and_names_a_provider_that_does_not_answer(
    client: FlaskClient, store: Store
) -> None:
    with store.write() as session:
        push = {"apns": {"under_way": 3, "silent": ["apns"]}}
        heartbeat.beat(session, heartbeat.EDGE, NOW - 1.5, {"boot": "b", "push": push})
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json == {
        "status": "ok",
        "database": {"ok": True},
        "edge": {"ok": True, "heartbeat_age_s": 1.5},
        "media": {},
        "alarms": 0,
        "push": push,
    }


def test_health_names_each_media_relay(client: FlaskClient, store: Store) -> None:
    relays = {"east": 3, "west": None}
    with store.write() as session:
        heartbeat.beat(session, heartbeat.EDGE, NOW - 1.5, {"relays": relays})
    answer = client.get("/health").json
    assert answer is not None
    assert answer["media"] == {"east": {"ok": True, "calls": 3}, "west": {"ok": False, "calls": None}}


@pytest.mark.parametrize("last", [None, NOW - 60])
def test_health_says_that_the_edge_agent_is_missing(
    client: FlaskClient, store: Store, last: float | None
) -> None:
    if last is not None:
        with store.write() as session:
            heartbeat.beat(session, heartbeat.EDGE, last)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["status"] == "degraded"


def test_health_without_a_database_is_an_answer_and_not_a_crash(tmp_path: Path) -> None:
    installation.initialise(tmp_path, f"sqlite:///{tmp_path}/state/control.db")
    lost = Store.open(f"sqlite:///{tmp_path}/nowhere/control.db", tmp_path)
    client = create_app(settings.parse({}, tmp_path), lost).test_client()
    assert client.get("/health").status_code == 503
    assert client.get("/calls").status_code == 503
    assert client.get("/api/calls").json == {
        "error": {
            "id": "database",
            "message": "The database does not answer. Is it up, and has `nightbell init` been run?",
        }
    }


def test_the_api_lists_calls_page_by_page(client: FlaskClient, store: Store) -> None:
    for number in range(3):
        record(store, f"call{number}", NOW - 100 + number)
    page = client.get("/api/calls?limit=2").json
    assert page is not None
    assert [call["call"] for call in page["calls"]] == ["call2", "call1"]
    rest = client.get(f"/api/calls?limit=2&cursor={page['next_cursor']}").json
    assert rest is not None
    assert [call["call"] for call in rest["calls"]] == ["call0"]
    assert rest["next_cursor"] is None


def test_calls_that_began_at_the_same_time_are_on_one_page_each(client: FlaskClient, store: Store) -> None:
    for number in range(3):
        record(store, f"call{number}", NOW - 100)
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = client.get(f"/api/calls?limit=1&cursor={cursor}").get_json()
        seen += [call["call"] for call in page["calls"]]
        cursor = page["next_cursor"]
    assert seen == ["call0", "call1", "call2"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("outcome=under-way", ["going"]),
        ("outcome=answered", ["new", "old"]),
        ("device=alice-k7f3qd", ["new", "old"]),
        ("device=nobody", []),
        (f"since={NOW - 20}", ["going", "new"]),
        (f"since={NOW - 20}&outcome=answered", ["new"]),
        ("connection=office", ["going"]),
        ("connection=other", []),
    ],
)
def test_the_api_finds_calls_by_time_device_connection_and_outcome(
    client: FlaskClient, store: Store, query: str, expected: list[str]
) -> None:
    record(store, "old", NOW - 50)
    record(store, "new", NOW - 15)
    with store.write() as session:
        office = ConnectionSpec(name="office", host="192.0.2.1", user="200", password=Secret("s"))
        found_at = connections.add_connection(session, office).id
        journal.record(session, [Step("going", NOW - 1, "invite-in", direction="in", connection=found_at)])
    found = client.get(f"/api/calls?{query}").get_json()
    assert [call["call"] for call in found["calls"]] == expected
    page = client.get(f"/calls?{query}")
    assert page.text.count('class="whom"') == len(expected)


def test_the_api_tells_one_call(client: FlaskClient, store: Store) -> None:
    record(store)
    answer = client.get("/api/calls/k3f").json
    assert answer is not None
    assert [step["step"] for step in answer["steps"]] == ["invite-in", "push-sent", "answered", "bye"]
    assert answer["steps"][1]["gap_ms"] == pytest.approx(0.9, abs=0.01)
    assert answer["outcome"] == "answered"


@pytest.mark.parametrize(
    ("path", "status", "identity"),
    [
        ("/api/calls/zz", 404, "not-found"),
        ("/api/calls/k", 409, "ambiguous"),
        ("/api/calls?limit=x", 400, "invalid-field"),
        ("/api/calls?cursor=-1", 400, "invalid-field"),
        ("/api/calls?cursor=nan~k1", 400, "invalid-field"),
        ("/api/calls?since=soon", 400, "invalid-field"),
        ("/api/calls?outcome=lost", 400, "invalid-field"),
        ("/api/calls?limit=nan", 400, "invalid-field"),
        ("/api/nothing", 404, "not-found"),
    ],
)
def test_api_errors_have_an_id(
    client: FlaskClient, store: Store, path: str, status: int, identity: str
) -> None:
    record(store, "k1")
    record(store, "k2")
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["error"]["id"] == identity


def test_u2_the_page_of_a_call_tells_its_story_with_a_picture(client: FlaskClient, store: Store) -> None:
    record(store)
    text = client.get("/calls/k3f9a2").text
    for words in ("The PBX rang", "Push sent to APNs", "Answered", "Apple (APNs)", "alice-k7f3qd", "+0.9 ms"):
        assert words in text
    page = Page(text)
    targets = {href.removeprefix("#") for href in page.attributes("a", "href") if href.startswith("#step-")}
    assert targets == {"step-1", "step-2", "step-3", "step-4"}
    assert targets <= set(page.attributes("tr", "id")), "each number in the picture leads to its row"


def test_the_pages_have_no_inline_script_or_style_and_need_nobody_else(
    client: FlaskClient, store: Store
) -> None:
    record(store)
    for path in ("/calls", "/calls/k3f9a2", "/calls/zz"):
        answer = client.get(path)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
        page = Page(answer.text)
        assert not [tag for tag, attrs in page.elements if tag == "style" or "style" in attrs]
        assert not [attrs for tag, attrs in page.elements if tag == "script" and not attrs.get("src")]
        sources = [
            *page.attributes("link", "href"),
            *page.attributes("script", "src"),
            *page.attributes("img", "src"),
            *page.attributes("use", "href"),
        ]
        assert all(source.startswith(("/static/", "#")) for source in sources)
        for link in page.attributes("link", "href"):
            with client.get(link) as found:
                assert found.status_code == 200


def test_the_page_of_a_call_shows_how_its_audio_was(client: FlaskClient, store: Store) -> None:
    record(store)
    heard = Heard(mos=2.9, mos_lowest=2.1, loss=8.0, jitter=31.0, round_trip=240.0, course=(4.5, 2.75, 1.0))
    quality = Quality(Leg(Side.DEVICE, 350, "opus/48000/2", heard=heard), Leg(Side.PBX, 341, "PCMA/8000"))
    with store.write() as session:
        journal.record_quality(session, "k3f9a2", NOW - 40, quality)
    text = client.get("/calls/k3f9a2").get_data(as_text=True)
    words = "Poor audio: the device heard a MOS of 2.9 with 8.0 % of the packets lost."
    assert f"Answered; they talked for 7.00 s. {words}" in text
    assert 'points="0.0,0.0 50.0,10.0 100.0,20.0"' in text
    assert "240 ms" in text
    assert "it made no reports (RTCP)" in text
    assert not any("style" in attributes for _, attributes in Page(text).elements)
    answer = client.get("/api/calls/k3f9a2").json
    assert answer is not None
    assert (answer["audio"]["verdict"], answer["audio"]["pbx"]["heard"]) == ("poor", None)


def test_what_a_caller_calls_himself_is_text_and_not_markup(client: FlaskClient, store: Store) -> None:
    record(store, caller='"><script>alert(1)</script>')
    for path in ("/calls", "/calls/k3f9a2"):
        assert "<script>" not in client.get(path).text


def test_a_call_that_goes_on_is_live_and_looked_at_again_without_scripts_and_an_ended_one_is_not(
    client: FlaskClient, store: Store
) -> None:
    record(store, "ended")
    with store.write() as session:
        journal.record(session, [Step("going", NOW - 1, "invite-in", direction="in")])
    for path, live in (("/calls", True), ("/calls/going", True), ("/calls/ended", False)):
        text = client.get(path).text
        assert ('<noscript><meta http-equiv="refresh"' in text) == live
        assert ("/static/live.js" in text) == live


def test_the_list_links_to_each_call_and_says_when_there_is_none(client: FlaskClient, store: Store) -> None:
    assert "No calls yet" in client.get("/calls").text
    record(store)
    assert "/calls/k3f9a2" in Page(client.get("/calls").text).attributes("a", "href")
    assert client.get("/").headers["Location"] == "/calls"


def test_a_message_that_was_delivered_is_shown_as_good(client: FlaskClient, store: Store) -> None:
    with store.write() as session:
        steps = [Step("m1", NOW - 9, "message-in"), Step("m1", NOW - 7, "delivered", "alice-1", code=200)]
        journal.record(session, steps)
    text = client.get("/calls").text
    assert '<span class="mood good" aria-hidden="true"></span>Message delivered after 2.00 s.' in text


def test_a_foreign_host_name_is_refused(client: FlaskClient) -> None:
    assert client.get("/calls", base_url="http://evil.example").status_code == 400
    assert client.get("/calls", base_url="http://127.0.0.1:8080").status_code == 200


def test_an_unknown_page_is_a_page(client: FlaskClient) -> None:
    answer = client.get("/nothing")
    assert answer.status_code == 404
    Page(answer.text)


def test_u1_devices_are_there_as_json_with_state_and_wakes(client: FlaskClient, store: Store) -> None:
    with store.write() as session:
        people.add_user(session, "alice")
        device = people.add_device(session, "alice", "Phone", "nightbell.test")[0].id
        token = PushToken("apns", "org.example.voip", "production", "secret-token")
        tokens.store_tokens(session, device, [token], NOW - 60)
        wake = DeviceWake("w1", device, "c1", NOW - 50, NOW - 30, "apns", NOW - 49, NOW - 47, "woke")
        wakes.record(session, [wake], WaitPolicy())
    (listed,) = client.get("/api/devices").get_json()["devices"]
    shown = client.get(f"/api/devices/{device}")
    found = shown.get_json()
    assert (listed["device"], listed["state"]) == (device, "unreachable")  # no provider is set up
    assert found["words"] == "Unreachable: its push token is for apns, which is not set up here"
    assert [(w["outcome"], w["seconds"]) for w in found["wakes"]] == [("woke", 3.0)]
    assert found["tokens"][0]["fingerprint"] == token.fingerprint
    assert "secret-token" not in shown.text
    assert client.get("/api/devices/nobody").status_code == 404


def test_u1_p7_the_page_of_a_device_says_how_it_stands_and_shows_no_token(
    client: FlaskClient, store: Store
) -> None:
    assert "No devices yet" in client.get("/devices").text
    with store.write() as session:
        people.add_user(session, "alice")
        device = people.add_device(session, "alice", "Alice's phone", "nightbell.test")[0].id
        token = PushToken("apns", "org.example.voip", "production", "secret-token")
        tokens.store_tokens(session, device, [token], NOW - 60)
        tokens.quarantine(session, device, token, NOW - 20)
        taken = DeviceWake("w1", device, "c1", NOW - 50, NOW - 30, "apns", NOW - 49, NOW - 47, "woke")
        slept = DeviceWake("w2", device, "c2", NOW - 30, NOW - 10, "apns", NOW - 29, 0.0, "slept")
        wakes.record(session, [taken, slept], WaitPolicy())
        office = ConnectionSpec("office", "192.0.2.1", "200", Secret("s"), users=("alice",))
        at_office = connections.add_connection(session, office).id
        mailboxes.record(session, at_office, Mailbox("", waiting=True, new=2, old=8, at=NOW - 5))
    assert client.get(f"/api/devices/{device}").get_json()["mailboxes"] == [
        {"connection": "office", "waiting": True, "new": 2, "old": 8, "at": NOW - 5}
    ]
    shown = Page(client.get("/devices").text)
    assert f"/devices/{device}" in shown.attributes("a", "href")
    text = client.get(f"/devices/{device}").text
    page = Page(text)
    assert "Unreachable: apns does not know its push token" in text
    assert "Check that the app&#39;s build" in text
    assert f"#{token.fingerprint}" in text
    assert "quarantined" in text
    assert "secret-token" not in text
    assert "in the mailbox at office" in text
    assert "2 new voice messages, 8 old" in text
    assert page.attributes("rect", "class") == ["good", "bad"]
    assert "woke, 3.00 s after the push" in page.attributes("a", "aria-label")
    assert f"/calls?device={device}" in page.attributes("a", "href")
    assert not any("style" in attributes for _, attributes in page.elements)
    assert client.get("/devices/nobody").status_code == 404


@pytest.mark.parametrize(
    ("seconds", "height"), [(0.001, 6.0), (0.1, 25.4), (1.0, 50.8), (60.0, 96.0), (600.0, 96.0)]
)
def test_a_wake_is_drawn_as_high_as_it_took_long(seconds: float, height: float) -> None:
    wake = DeviceWake("w1", "d", "c1", NOW, NOW + 20, "apns", NOW, NOW + seconds, "woke")
    (bar,) = device_pages.draw([wake]).bars
    assert bar.height == pytest.approx(height, abs=0.2)
