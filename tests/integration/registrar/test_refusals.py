"""A PBX that says no, later, elsewhere or nothing at all: named by its cause, and not asked again too soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from kemi import wire
from kemi.registrar_pacing import SILENCES
from tests.fakes.registrar import FakeRegistrar
from tests.integration.registrar.rig import Rig

Name = Callable[[str], str]


@pytest.mark.parametrize(
    ("kind", "state", "why", "code", "pause"),
    [
        ("x403", "refused", "forbidden", 403, 60),
        ("x403later", "refused", "forbidden", 403, 60),
        ("x404", "refused", "unknown-account", 404, 60),
        ("x302", "refused", "redirected", 302, 60),
        ("x500", "unreachable", "server-error", 500, 2.5),
        ("x500ra", "unreachable", "server-error", 500, 45),
        ("x503", "unreachable", "overloaded", 503, 2.5),
        ("x503ra", "unreachable", "overloaded", 503, 60),
    ],
)
def test_r2_a_no_is_named_and_not_asked_again_too_soon(
    rig: Rig, pbx: FakeRegistrar, user: Name, kind: str, state: str, why: str, code: int, pause: float
) -> None:
    name = user(kind)
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.upstream("c1", state)
    assert (told.why, told.code) == (why, code)
    assert told.reason
    assert told.due - told.ts >= pause
    assert len(pbx.history(name)) == 1 + (kind == "x403later")


def test_a_redirect_is_not_followed(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name, elsewhere = user("plain"), user("plain")
    target = f"Contact: <sip:{elsewhere}@{pbx.address}:{pbx.ports['udp']}>"
    pbx.order(name, unasked=True, status=301, headers=[target])
    rig.connect("c1", pbx, name)
    rig.start()
    assert rig.upstream("c1", "refused").why == "redirected"
    assert pbx.statistics()["received"] == 1


def test_r3_a_423_is_obeyed_at_once(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("x423")
    rig.connect("c1", pbx, name)
    rig.start()
    assert rig.registered("c1").expires == 1200
    assert [(s["expires"], s["code"]) for s in pbx.history(name)] == [(60, 401), (60, 423), (1200, 200)]


@pytest.mark.parametrize("least", ["100000", "60", "soon", ""])
def test_r3_a_423_that_cannot_be_met_is_said(rig: Rig, pbx: FakeRegistrar, user: Name, least: str) -> None:
    name = user("plain")
    pbx.order(name, unasked=True, status=423, headers=[f"Min-Expires: {least}"])
    rig.connect("c1", pbx, name)
    rig.start()
    assert rig.upstream("c1", "refused").why == "too-brief"
    assert len(pbx.history(name)) == 1


def test_the_pause_that_a_503_asks_for_is_kept(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("plain")
    pbx.order(name, times=1, unasked=True, status=503, headers=["Retry-After: 3 (back soon)"])
    rig.connect("c1", pbx, name)
    rig.start()
    rig.upstream("c1", "unreachable")
    rig.registered("c1")
    refused, again, *_ = pbx.history(name)
    assert 2.9 <= again["at"] - refused["at"] <= 6


def test_a_503_speaks_for_the_whole_pbx_when_nobody_else_is_accepted(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    busy, other = user("plain"), user("plain")
    pbx.order(busy, times=1, unasked=True, status=503, headers=["Retry-After: 3"])
    rig.connect("c1", pbx, busy)
    rig.start()
    told = rig.upstream("c1", "unreachable")
    rig.connect("c2", pbx, other)
    rig.registered("c2")
    assert pbx.history(other)[0]["at"] >= told.ts + 2.9


def test_a_503_for_one_account_does_not_hold_up_the_others(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    busy, early, late = user("x503ra"), user("plain"), user("plain")
    rig.connect("c1", pbx, early)
    rig.start()
    rig.registered("c1")
    rig.connect("c2", pbx, busy)
    rig.upstream("c2", "unreachable")
    rig.connect("c3", pbx, late)
    rig.registered("c3", within=3)


def test_r8_silence_is_noticed_and_told(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("silent")
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.upstream("c1", "unreachable")
    assert (told.why, told.code, told.reason) == ("no-answer", 0, "no answer")
    assert told.due > told.ts
    statistics = pbx.statistics()
    assert statistics["received"] == 1
    assert statistics["retransmissions"] >= 2, "over UDP nothing else tells loss from silence"


def test_an_answer_that_comes_late_is_taken_when_it_comes_in_time(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("slow")
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.registered("c1")
    assert 1900 <= told.rtt_ms <= 3500
    assert len(pbx.history(name)) == 2, "a retransmission is no second try"


def test_answers_that_come_twice_count_once(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name, other = user("twice"), user("plain")
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    rig.connect("c2", pbx, other)
    rig.registered("c2")
    assert len(pbx.history(name)) == 2
    assert [e for e in rig.heard() if isinstance(e, wire.UpstreamEvent)] == []


def many(rig: Rig, pbx: FakeRegistrar, user: Name) -> dict[str, str]:
    """More connections than it takes to call a PBX down, all registered, with a refresh due each second or two."""
    names = {f"c{number:02}": user("plain") for number in range(SILENCES + 5)}
    pbx.order("*", granted=4)
    for connection, name in names.items():
        rig.connect(connection, pbx, name)
    rig.start()
    awaited = set(names)
    while awaited:
        awaited.discard(rig.event(wire.UpstreamEvent, lambda e: e.state == "registered").connection)
    return names


def test_r2_silence_for_all_after_a_refusal_is_told_as_a_suspected_ban(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    others = many(rig, pbx, user)
    wrong = user("plain")
    pbx.ask("ban", after=1)
    rig.connect("c-wrong", pbx, wrong, **rig.wrong_password("c-wrong", wrong))
    rig.upstream("c-wrong", "refused")
    told = rig.event(wire.UpstreamEvent, lambda e: e.why == "suspected-ban")
    assert (told.state, told.connection in others) == ("unreachable", True)
    assert told.due - told.ts >= 300
    assert pbx.statistics()["banned"] > SILENCES


def test_r1_a_pbx_that_answers_again_is_met_one_by_one(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    names = many(rig, pbx, user)
    pbx.order("*", silent=True)
    awaited = set(names)
    while awaited:
        awaited.discard(rig.event(wire.UpstreamEvent, lambda e: e.state == "unreachable").connection)
    pbx.order("*", silent=False, granted=600)
    back = time.time()
    awaited = set(names)
    while awaited:
        awaited.discard(rig.event(wire.UpstreamEvent, lambda e: e.state == "registered", 12).connection)
    arrived = sorted(s["at"] for n in names.values() for s in pbx.history(n) if s["at"] > back)
    assert len(arrived) <= 2 * len(names)
    assert len([at for at in arrived if at < arrived[0] + 0.1]) <= 10, "a wave"


@pytest.mark.parametrize(
    "knobs",
    [
        {"headers": ["Contact: <sip:%%%", "Expires: -1"]},
        {"headers": ["Contact: " + ",".join(f"<sip:x{n}@192.0.2.1>" for n in range(300))]},
        {"reason": "OK é \t; drop table"},
        {"headers": ["Service-Route: <sip:a;lr>", 'Authentication-Info: nextnonce="a!!b"']},
    ],
)
def test_strange_headers_in_a_200_do_no_harm(
    rig: Rig, pbx: FakeRegistrar, user: Name, knobs: dict[str, Any]
) -> None:
    name = user("plain")
    pbx.order(name, granted=3, **knobs)
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    rig.refreshed("c1")
