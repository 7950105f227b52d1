"""Few unproven credentials at a time, none after some refusals: a PBX must not come to ban us (R2)."""

from __future__ import annotations

from kemi import wire
from kemi.registrar_caution import FORGOTTEN_S, REFUSALS, Caution
from tests.fakes.edge import CONNECTION, PBX, Edge, connection
from tests.fakes.kamailio import Sent
from tests.unit.kemi.pbx import CHALLENGE, NOW, TICK, Pbx


def user(sent: Sent) -> str:
    return sent.message.get("To").partition("sip:")[2].partition("@")[0]


def answer_all(pbx: Pbx, sent: list[Sent], wrong: set[str]) -> int:
    """Answer as a PBX that challenges, accepts, and refuses the wrong ones; how many were refused for good."""
    refused = 0
    for register in sent:
        if user(register) in wrong or not register.message.has("Authorization"):
            refused += register.message.has("Authorization")
            pbx.edge.answer(register, 401, "Unauthorized", CHALLENGE, origin=PBX)
        else:
            contact = f"Contact: {register.message.get('Contact')};expires=600"
            pbx.edge.answer(register, 200, "OK", contact, origin=PBX)
    return refused


def accounts(edge: Edge, number: int) -> list[str]:
    names = [f"c{n:03}" for n in range(number)]
    for name in names:
        edge.put("connection", name, connection(user=name))
    return names


def drive(pbx: Pbx, wrong: set[str], seconds: float, tick: float = 0.02) -> int:
    """Let the PBX answer for a while; how many it refused."""
    return sum(answer_all(pbx, pbx.tick(tick), wrong) for _ in range(int(seconds / tick)))


def test_r2_fifty_wrong_passwords_at_one_pbx_are_a_few_refusals_in_ten_minutes(edge: Edge) -> None:
    names = accounts(edge, 50)
    pbx = Pbx(edge)
    assert drive(pbx, set(names), 10) <= REFUSALS + 1
    assert drive(pbx, set(names), FORGOTTEN_S - 20, tick=1.0) == 0


def test_r2_those_that_wait_say_why(edge: Edge) -> None:
    names = accounts(edge, 50)
    pbx = Pbx(edge)
    drive(pbx, set(names), 10)
    held = {e.connection for e in pbx.upstream() if e.why == "held-back"}
    assert len(held) >= 45


def test_r2_good_accounts_register_once_the_refusals_are_forgotten(edge: Edge) -> None:
    names = accounts(edge, 30)
    wrong = set(names[:3])
    pbx = Pbx(edge)
    drive(pbx, wrong, 5)
    drive(pbx, wrong, FORGOTTEN_S + 700, tick=1.0)
    assert {e.connection for e in pbx.upstream() if e.state == "registered"} == set(names) - wrong


def test_r2_who_was_accepted_before_is_refreshed_whatever_others_are_refused(edge: Edge) -> None:
    good = accounts(edge, 5)
    pbx = Pbx(edge)
    drive(pbx, set(), 2)
    wrong = {f"w{n}" for n in range(10)}
    for name in wrong:
        edge.put("connection", name, connection(user=name))
        edge.table(wire.TABLE_CHANGES)[name] = "1"
    drive(pbx, wrong, 5)
    refreshed: set[str] = set()
    for _ in range(600):
        sent = pbx.tick(1.0)
        refreshed |= {user(register) for register in sent}
        answer_all(pbx, sent, wrong)
    assert set(good) <= refreshed


def retry(pbx: Pbx, name: str) -> None:
    pbx.edge.table(wire.TABLE_CHANGES)[wire.RETRY + name] = "1"


def test_r2_who_is_to_be_tried_now_is_tried_though_others_were_refused(edge: Edge) -> None:
    names = accounts(edge, 30)
    pbx = Pbx(edge)
    drive(pbx, set(names[:3]), 5)
    held = next(e.connection for e in pbx.upstream() if e.why == "held-back")
    retry(pbx, held)
    (sent,) = pbx.tick(TICK)
    assert user(sent) == held
    pbx.accept(sent)
    assert pbx.states() == [("registered", "")]
    drive(pbx, set(), 30)
    assert pbx.upstream() == [], "nobody else was meant"


def test_r2_who_was_stopped_begins_anew_when_he_is_to_be_tried(pbx: Pbx) -> None:
    for _ in range(3):
        (sent,) = pbx.tick(700)
        pbx.answer(sent, 403)
    assert pbx.states()[-1] == ("stopped", "forbidden")
    retry(pbx, CONNECTION)
    (sent,) = pbx.tick(TICK)
    pbx.answer(sent, 403)
    assert pbx.states() == [("refused", "forbidden")]
    assert pbx.tick(50) == []
    assert len(pbx.tick(20)) == 1


def test_who_is_under_way_or_unknown_is_not_tried_twice(pbx: Pbx) -> None:
    (sent,) = pbx.tick()
    retry(pbx, CONNECTION)
    retry(pbx, "nobody")
    assert pbx.tick(TICK) == []
    pbx.accept(sent)
    retry(pbx, CONNECTION)
    (again,) = pbx.tick(TICK)
    assert pbx.accept(again) == []
    assert sum(pbx.step(1) for _ in range(290)) == 0, "its turn comes as ever"


def test_credentials_nobody_refuses_leave_ever_faster() -> None:
    caution = Caution()
    rooms = []
    for _ in range(6):
        room = caution.room(NOW)
        rooms.append(room)
        for _ in range(room):
            caution.tried()
            caution.settled()
            caution.accepted()
    assert rooms == [4, 8, 16, 32, 64, 128]


def test_after_a_refusal_one_at_a_time_and_after_three_none() -> None:
    caution = Caution()
    caution.refused(NOW)
    assert caution.room(NOW + 1) == 1
    caution.tried()
    assert caution.room(NOW + 1) == 0
    caution.settled()
    caution.refused(NOW + 2)
    caution.refused(NOW + 3)
    assert caution.room(NOW + 4) == 0
    assert caution.exhausted(NOW + 4)
    assert caution.free_at() == NOW + FORGOTTEN_S
    assert caution.room(caution.free_at()) == 1


def change_all(pbx: Pbx, names: list[str], revision: str) -> None:
    """Somebody corrects the passwords."""
    for name in names:
        pbx.change(connection(user=name, revision=revision), name)


def test_r2_those_that_were_corrected_while_they_waited_are_tried_once_they_may_be(edge: Edge) -> None:
    """And only once: what they waited for before does not count any more."""
    names = accounts(edge, 50)
    pbx = Pbx(edge)
    drive(pbx, set(names), 10)
    for revision in ("2", "3"):
        change_all(pbx, names, revision)
        pbx.tick(1)
    edge.events()
    drive(pbx, set(), 2 * FORGOTTEN_S, tick=1.0)
    assert {e.connection for e in pbx.upstream() if e.state == "registered"} == set(names)


def test_r2_who_comes_while_none_is_tried_is_told_that_it_waits(edge: Edge) -> None:
    names = accounts(edge, REFUSALS)
    pbx = Pbx(edge)
    drive(pbx, set(names), 10)
    edge.events()
    pbx.change(connection(user="fresh"), "fresh")
    assert drive(pbx, set(), 10) == 0
    (told,) = pbx.upstream()
    assert (told.connection, told.state, told.why) == ("fresh", "new", "held-back")
    drive(pbx, set(), FORGOTTEN_S, tick=1.0)
    assert ("fresh", "registered", "") in [(e.connection, e.state, e.why) for e in pbx.upstream()]
