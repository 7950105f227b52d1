"""The place of another contact, taken over and given back: the steps, one by one."""

from __future__ import annotations

from kemi.registrar_takeover import Takeover

NOW = 1_800_000_000.0
DESK, MOBILE = "<sip:desk@192.0.2.99:5060>", "<sip:mobile@192.0.2.98;ob>"
OURS = "<sip:c1@127.0.7.1:5060>"


def accepted(takeover: Takeover, contacts: str = "", *, leaving: bool = False, now: float = NOW) -> bool:
    """A step was accepted; whether there is another one."""
    return takeover.accepted(contacts, "c1", leaving, now)


def test_first_it_asks_who_is_there() -> None:
    assert Takeover(NOW).lines(NOW) == []


def test_then_it_removes_who_is_there_and_then_registers() -> None:
    takeover = Takeover(NOW)
    assert accepted(takeover, f"{DESK};expires=300, {OURS};expires=9, {MOBILE};q=1;expires=20")
    assert takeover.lines(NOW) == ["Contact: *", "Expires: 0"]
    assert accepted(takeover)
    assert takeover.lines(NOW) is None
    assert not accepted(takeover, OURS)


def test_an_empty_place_is_simply_taken() -> None:
    takeover = Takeover(NOW)
    assert accepted(takeover, "")
    assert takeover.lines(NOW) is None


def test_who_was_there_gets_the_rest_of_his_time_back_once_we_have_left() -> None:
    takeover = Takeover(NOW)
    accepted(takeover, f"{DESK};expires=300, {MOBILE};expires=100")
    accepted(takeover)
    assert accepted(takeover, leaving=True, now=NOW + 90)
    assert takeover.lines(NOW + 90) == [f"Contact: {DESK};expires=210"], "what is nearly over is not put back"
    assert not accepted(takeover, leaving=True, now=NOW + 90)


def test_a_contact_that_did_not_say_how_long_is_not_put_back() -> None:
    takeover = Takeover(NOW)
    accepted(takeover, DESK)
    accepted(takeover)
    assert not accepted(takeover, leaving=True, now=NOW + 1)


def test_who_was_there_before_is_remembered_when_it_has_to_be_done_again() -> None:
    takeover = Takeover(NOW + 60, others=[(DESK, NOW + 300)])
    accepted(takeover, "", now=NOW + 60)
    assert accepted(takeover, leaving=True, now=NOW + 61)
    assert takeover.lines(NOW + 100) == [f"Contact: {DESK};expires=200"]


def test_what_the_pbx_made_something_else_of_is_withdrawn() -> None:
    takeover = Takeover(NOW)
    accepted(takeover, f"{DESK};expires=300")
    accepted(takeover)
    accepted(takeover, leaving=True)
    rewritten = "<sip:desk@127.0.7.1:5060>"
    assert accepted(takeover, f"{rewritten};expires=300", leaving=True)
    assert takeover.lines(NOW) == [f"Contact: {rewritten};expires=0"]
    assert not accepted(takeover, "", leaving=True)
    assert takeover.lines(NOW) is None


def test_what_was_put_back_as_it_was_stays() -> None:
    takeover = Takeover(NOW)
    accepted(takeover, f"{DESK};expires=300")
    accepted(takeover)
    accepted(takeover, leaving=True)
    assert not accepted(takeover, f"{DESK};expires=299", leaving=True)
    assert takeover.lines(NOW) is None
