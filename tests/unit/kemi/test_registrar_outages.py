"""PBXs that go away, come back, go silent for some or for all: what the registrar sends, and what it makes of it."""

from __future__ import annotations

import pytest

from kemi import wire
from kemi.registrar_pacing import SILENCES
from tests.fakes.edge import CONNECTION, PBX, Edge, connection
from tests.fakes.kamailio import Sent
from tests.unit.kemi.pbx import CHALLENGE, NOW, TICK, Pbx

FIRST, SECOND, THIRD = (f"sip:192.0.2.{last}:5060;transport=udp" for last in (7, 8, 9))


# How the pace follows the answers is looked at here.
pytestmark = pytest.mark.usefixtures("no_caution")


def accounts(edge: Edge, number: int, **changes: object) -> list[str]:
    """So many connections at the same PBX; user and id of each are the same."""
    ids = [f"c{n:03}" for n in range(number)]
    for connection_id in ids:
        edge.put("connection", connection_id, connection(user=connection_id, **changes))
    return ids


def user(sent: Sent) -> str:
    return sent.message.get("To").partition("sip:")[2].partition("@")[0]


def accept(pbx: Pbx, sent: Sent) -> None:
    contact = f"Contact: {sent.message.get('Contact')};expires=600"
    pbx.edge.answer(sent, 200, "OK", contact, origin=PBX)


def next_sent(pbx: Pbx) -> Sent:
    """The next REGISTER, whenever it leaves."""
    while True:
        sent = pbx.tick(1)
        if sent:
            assert len(sent) == 1
            return sent[0]


def play(pbx: Pbx, seconds: float, deaf: set[str] | None = None, to: str = "") -> list[Sent]:
    """Time passes; what is sent ``to`` a place is accepted, but for the accounts it is ``deaf`` to (None: to all)."""
    everything = []
    tick = 0.1 if seconds < 600 else 1.0
    for _ in range(round(seconds / tick)):
        for sent in pbx.tick(tick):
            everything.append(sent)
            if deaf is not None and user(sent) not in deaf and sent.to.startswith(to):
                accept(pbx, sent)
    return everything


# ------------------------------------------------------------------------------------------------ gone and back


def test_r1_all_who_met_silence_are_due_again_at_the_first_answer(edge: Edge) -> None:
    ids = accounts(edge, 5)
    pbx = Pbx(edge)
    play(pbx, 3600, deaf=None)
    edge.events()
    first = next_sent(pbx)
    accept(pbx, first)
    assert {user(s) for s in [first, *play(pbx, 2, set())]} == set(ids)
    assert {e.connection for e in pbx.upstream() if e.state == "registered"} == set(ids)


def test_r1_a_pbx_that_was_away_for_an_hour_is_met_with_a_ramp(edge: Edge) -> None:
    accounts(edge, 400)
    pbx = Pbx(edge)
    play(pbx, 3600, deaf=None)
    accept(pbx, next_sent(pbx))
    per_second = [len(play(pbx, 1, set())) for _ in range(8)]
    assert per_second[0] <= 110
    assert sum(per_second) == 399


def test_r1_while_a_pbx_is_away_it_is_probed_once_a_minute(edge: Edge) -> None:
    accounts(edge, 200)
    pbx = Pbx(edge)
    play(pbx, 600, deaf=None)
    assert len(play(pbx, 600, deaf=None)) == 10


def test_r1_an_account_that_alone_is_not_answered_backs_off_however_many_others_are(edge: Edge) -> None:
    accounts(edge, 30)
    edge.put("connection", "mute", connection(user="mute"))
    pbx = Pbx(edge)
    play(pbx, 600, {"mute"})
    tries = [s for s in play(pbx, 3600, {"mute"}) if user(s) == "mute"]
    assert len(tries) <= 8


def test_a_probe_is_not_lost_to_the_pace_of_all(edge: Edge) -> None:
    accounts(edge, SILENCES)
    pbx = Pbx(edge)
    play(pbx, 7, deaf=None)
    assert all(p.down for p in pbx.registrar._pbxs.values())
    overall = pbx.registrar._overall
    overall.rate = overall._tokens = 0.0
    assert play(pbx, 20, deaf=None) == []
    overall.rate = overall.fastest
    assert len(play(pbx, 0.3, deaf=None)) == 1


# ----------------------------------------------------------------------------------------- asked for a pause


def test_a_503_pauses_the_whole_pbx_when_nobody_else_is_accepted(edge: Edge) -> None:
    accounts(edge, 30)
    pbx = Pbx(edge)
    first = pbx.tick()
    pbx.answer(first[0], 503, "Retry-After: 30")
    assert play(pbx, 4, set()) == []
    assert play(pbx, 25, set()) == []
    assert len(play(pbx, 5, set())) > 20


def test_a_503_pauses_the_account_alone_when_others_are_accepted(edge: Edge) -> None:
    accounts(edge, 10)
    edge.put("connection", "z", connection(user="z"))
    pbx = Pbx(edge)
    play(pbx, 3, {"z"})
    waiting = next(s for s in edge.kamailio.sent if user(s) == "z")
    edge.events()
    edge.put("connection", "fresh", connection(user="fresh"))
    edge.table("changes")["fresh"] = "1"
    assert [user(s) for s in pbx.answer(waiting, 503, "Retry-After: 60")] == ["fresh"]
    (told,) = [e for e in pbx.upstream() if e.connection == "z"]
    assert (told.state, told.why, round(told.due - pbx.now)) == ("unreachable", "overloaded", 60)


def test_a_503_without_retry_after_pauses_for_seconds(edge: Edge) -> None:
    accounts(edge, 30)
    pbx = Pbx(edge)
    pbx.answer(pbx.tick()[0], 503)
    assert play(pbx, 4.5, set()) == []
    assert len(play(pbx, 5, set())) > 20


# ------------------------------------------------------------------------------------------ another next hop


def lone(edge: Edge, *hops: str) -> Pbx:
    """One connection, whose PBX has these next hops."""
    edge.put("connection", CONNECTION, connection(next_hop=hops[0], alternatives=list(hops[1:])))
    return Pbx(edge)


def test_a_silent_next_hop_is_followed_by_the_one_behind_it(edge: Edge) -> None:
    pbx = lone(edge, FIRST, SECOND, THIRD)
    assert [s.to for s in play(pbx, 30, set(), to=THIRD)] == [FIRST, SECOND, THIRD]
    assert pbx.states() == [("unreachable", "no-answer")] * 2 + [("registered", "")]


def test_behind_the_last_next_hop_comes_the_first(edge: Edge) -> None:
    pbx = lone(edge, FIRST, SECOND)
    assert [s.to for s in play(pbx, 60, deaf=None)][:4] == [FIRST, SECOND, FIRST, SECOND]


def test_the_next_hop_that_answered_is_kept_as_long_as_it_answers(edge: Edge) -> None:
    pbx = lone(edge, FIRST, SECOND)
    play(pbx, 30, set(), to=SECOND)
    assert {s.to for s in play(pbx, 3600, set())} == {SECOND}
    sent = play(pbx, 1200, set(), to=FIRST)
    assert [s.to for s in sent][:2] == [SECOND, FIRST]
    assert {s.to for s in sent[1:]} == {FIRST}


def test_a_refusal_is_no_reason_to_ask_another_next_hop(edge: Edge) -> None:
    pbx = lone(edge, FIRST, SECOND)
    for _ in range(3):
        pbx.answer(next_sent(pbx), 403)
    assert {s.to for s in edge.kamailio.sent} == {FIRST}


def test_a_next_hop_that_cannot_be_connected_to_is_followed_too(edge: Edge) -> None:
    edge.kamailio.unreachable.add(FIRST)
    pbx = lone(edge, FIRST, SECOND)
    assert [s.to for s in play(pbx, 10, set())] == [SECOND]
    assert pbx.states() == [("unreachable", "not-sent"), ("registered", "")]


def test_a_connection_that_moves_to_another_pbx_begins_with_its_first_next_hop(edge: Edge) -> None:
    pbx = lone(edge, FIRST, SECOND)
    play(pbx, 30, set(), to=SECOND)
    pbx.change(connection(next_hop=THIRD, alternatives=[FIRST], revision="2"))
    assert [s.to for s in play(pbx, 1, set())] == [THIRD]


def test_an_alternative_over_tls_is_sent_to_from_the_tls_socket(edge: Edge) -> None:
    secure = "sip:192.0.2.8:5061;transport=tls"
    _, sent = play(lone(edge, FIRST, secure), 30, set(), to=secure)
    assert (sent.to, sent.socket) == (secure, "tls:127.0.7.1:5061")
    assert sent.message.get("Contact").endswith(":5061;transport=tls>")


def test_nobody_is_sent_to_a_next_hop_that_is_down_but_for_a_probe(edge: Edge) -> None:
    accounts(edge, 10 * SILENCES, next_hop=FIRST, alternatives=[SECOND])
    pbx = Pbx(edge)
    play(pbx, 60, set(), to=SECOND)
    assert len([s for s in edge.kamailio.sent if s.to == SECOND]) == 10 * SILENCES
    edge.events()
    for number in range(100):
        edge.put("connection", f"d{number:02}", connection(user="d", next_hop=FIRST, alternatives=[SECOND]))
        edge.table("changes")[f"d{number:02}"] = "1"
    sent = play(pbx, 60, set(), to=SECOND)
    assert len([s for s in sent if s.to == FIRST]) <= 4
    assert len({e.connection for e in pbx.upstream() if e.state == "registered"}) == 100


def test_who_was_waiting_for_a_next_hop_that_goes_down_moves_to_the_one_behind_it(edge: Edge) -> None:
    """Though others wait there before them who have no other way."""
    accounts(edge, 2 * SILENCES)
    pbx = Pbx(edge)
    play(pbx, 30, deaf=None)
    for number in range(50):
        edge.put("connection", f"d{number:02}", connection(user="d", next_hop=FIRST, alternatives=[SECOND]))
        edge.table("changes")[f"d{number:02}"] = "1"
    sent = play(pbx, 3, set(), to=SECOND)
    assert len([s for s in sent if s.to == SECOND]) >= 49


def test_who_fell_due_while_a_pbx_was_down_is_due_once_it_answers(edge: Edge) -> None:
    accounts(edge, 2 * SILENCES)
    pbx = Pbx(edge)
    play(pbx, 60, deaf=None)
    for number in range(50):
        edge.put("connection", f"d{number:02}", connection(user=f"d{number:02}"))
        edge.table("changes")[f"d{number:02}"] = "1"
    assert len(play(pbx, 30, deaf=None)) <= 2
    accept(pbx, next_sent(pbx))
    assert len({user(s) for s in play(pbx, 3, set()) if user(s).startswith("d")}) >= 48


def test_a_next_hop_that_is_back_is_found_by_a_probe_and_used_again(edge: Edge) -> None:
    accounts(edge, 2 * SILENCES, next_hop=FIRST, alternatives=[SECOND])
    pbx = Pbx(edge)
    play(pbx, 120, set(), to=SECOND)
    edge.put("connection", "d1", connection(user="d1", next_hop=FIRST, alternatives=[SECOND]))
    edge.table("changes")["d1"] = "1"
    assert [s.to for s in play(pbx, 1, set()) if user(s) == "d1"] == [FIRST]


def test_when_all_next_hops_are_down_they_are_probed_and_no_more(edge: Edge) -> None:
    accounts(edge, 3 * SILENCES, next_hop=FIRST, alternatives=[SECOND])
    pbx = Pbx(edge)
    play(pbx, 300, deaf=None)
    later = play(pbx, 600, deaf=None)
    assert 10 <= len(later) <= 21
    assert {s.to for s in later} == {FIRST, SECOND}


# --------------------------------------------------------------------------------------------- suspected ban


def test_r2_silence_for_all_after_a_refusal_is_suspected_to_be_a_ban(edge: Edge) -> None:
    accounts(edge, 2 * SILENCES)
    pbx = Pbx(edge)
    play(pbx, 12, set())
    edge.put("connection", CONNECTION, connection())
    edge.table("changes")[CONNECTION] = "1"
    (first,) = pbx.tick(TICK)
    (second,) = pbx.answer(first, 401, CHALLENGE)
    pbx.answer(second, 401, CHALLENGE)
    pbx.upstream()
    play(pbx, 560, deaf=None)
    causes = [e.why for e in pbx.upstream() if e.connection != CONNECTION]
    assert causes[0] == "no-answer"
    assert causes[-1] == "suspected-ban"


def test_r2_an_account_that_is_suspected_banned_waits_five_minutes(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection())
    pbx = Pbx(edge)
    pbx.answer(pbx.tick()[0], 403)
    assert len(play(pbx, 70, deaf=None)) == 1
    assert pbx.states() == [("refused", "forbidden"), ("unreachable", "suspected-ban")]
    assert play(pbx, 290, deaf=None) == []
    assert len(play(pbx, 60, set())) == 1
    assert pbx.states() == [("registered", "")]


def test_silence_for_all_long_after_a_refusal_is_just_silence(edge: Edge) -> None:
    edge.put("connection", CONNECTION, connection())
    pbx = Pbx(edge)
    pbx.answer(pbx.tick()[0], 403)
    pbx.change(None)
    pbx.tick(1000)
    for connection_id in accounts(edge, 2 * SILENCES):
        edge.table("changes")[connection_id] = "1"
    edge.events()
    play(pbx, 12, deaf=None)
    assert {e.why for e in pbx.upstream()} == {"no-answer"}


# ------------------------------------------------------------------------------------------------- not sent


def test_a_pbx_that_refuses_connections_is_told_as_such_and_tried_again_gently(edge: Edge) -> None:
    edge.kamailio.unreachable.add("sip:192.0.2.7:5060;transport=tcp")
    edge.put("connection", CONNECTION, connection(next_hop="sip:192.0.2.7:5060;transport=tcp"))
    pbx = Pbx(edge)
    for _ in range(600):
        pbx.tick(1)
    events = pbx.upstream()
    assert {(e.state, e.why, e.reason) for e in events} == {("unreachable", "not-sent", "could not be sent")}
    assert 5 <= len(events) <= 9
    edge.kamailio.unreachable.clear()
    assert len(play(pbx, 600, set())) >= 1


@pytest.mark.parametrize("seconds", [TICK, 30.0])
def test_r8_a_timer_that_runs_late_loses_nobody(edge: Edge, seconds: float) -> None:
    ids = accounts(edge, 40)
    pbx = Pbx(edge, NOW)
    seen: set[str] = set()
    for _ in range(round(60 / seconds)):
        for sent in pbx.tick(seconds):
            seen.add(user(sent))
            pbx.edge.answer(
                sent, 200, "OK", f"Contact: {sent.message.get('Contact')};expires=600", origin=PBX
            )
    assert len(seen) >= min(len(ids), 10)
    told = {e.connection for e in pbx.upstream() if isinstance(e, wire.UpstreamEvent)}
    assert told <= set(ids)
