"""REGISTERs under way: when they are sent again, and when they are given up."""

from __future__ import annotations

from kemi.registrar_transaction import GIVEN_UP_S, Register, UnderWay
from tests.unit.kemi.pbx import NOW

ONE = Register("c1", 7, "sip:192.0.2.7", "udp:127.0.7.1:5060", False, "REGISTER")
OTHER = ONE._replace(account="c2")


def watch(
    way: UnderWay, answered: dict[str, float] | None = None, step: float = 0.02
) -> list[tuple[float, str]]:
    """What becomes due in ten seconds, by account; who is ``answered`` waits no longer from then on."""
    seen, now = [], 0.0
    while now < 10:
        now = round(now + step, 6)
        again, lost = way.due(NOW + now, lambda r, at=now: at < (answered or {}).get(r.account, 99))  # type: ignore[misc]
        seen += [(now, register.account) for register in again]
        seen += [(now, f"lost {register.account}") for register in lost]
    return seen


def test_what_nobody_answers_is_sent_again_at_growing_pauses_and_given_up() -> None:
    way = UnderWay()
    way.sent(ONE, now=NOW)
    seen = watch(way)
    assert [who for _, who in seen] == ["c1", "c1", "c1", "lost c1"]
    for (at, _), due in zip(seen, [0.5, 1.5, 3.5, GIVEN_UP_S], strict=True):
        assert due <= at <= due + 0.03


def test_a_reliable_transport_sends_it_once() -> None:
    way = UnderWay()
    way.sent(ONE._replace(reliable=True), now=NOW)
    ((at, who),) = watch(way)
    assert who == "lost c1"
    assert GIVEN_UP_S <= at <= GIVEN_UP_S + 0.03


def test_what_was_answered_is_let_alone() -> None:
    way = UnderWay()
    way.sent(ONE, now=NOW)
    way.sent(OTHER, now=NOW)
    assert [who for _, who in watch(way, {"c1": 0.4, "c2": 1.0})] == ["c2"]


def test_who_looks_late_sends_one_copy_and_gives_up_in_time() -> None:
    way = UnderWay()
    way.sent(ONE, now=NOW)
    assert way.due(NOW + 4.9, lambda _: True) == ([ONE], [])
    assert way.due(NOW + GIVEN_UP_S, lambda _: True) == ([], [ONE])
    assert way.due(NOW + 60, lambda _: True) == ([], [])


def test_who_looks_much_too_late_gives_up_without_another_copy() -> None:
    way = UnderWay()
    way.sent(ONE, now=NOW)
    assert way.due(NOW + 60, lambda _: True) == ([], [ONE])
