"""The fake registrar's bindings, its misbehaviour, and what it counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.registrar import Behaviour, Core, FakeRegistrarError
from tests.unit.fakes.registering import ADDRESS, NOW, Client

OTHER = "<sip:desk@192.0.2.99:5060>"


def open_core(**knobs: Any) -> Core:
    """A registrar that asks for no password."""
    return Core(default=Behaviour(auth=False, **knobs))


# --------------------------------------------------------------------------------------------------- bindings


def test_what_is_asked_is_granted() -> None:
    core = open_core()
    reply = Client("alice", core).plain(expires=300)
    assert reply.headers["Contact"] == ["<sip:alice@192.0.2.7:5060>;expires=300"]
    assert core.bound(NOW + 299) == 1
    assert core.bound(NOW + 301) == 0


@pytest.mark.parametrize(("user", "granted"), [("shorter", 60), ("longer", 7200)])
def test_what_is_granted_can_differ_from_what_is_asked(user: str, granted: int) -> None:
    core = Core()
    assert Client(user, core).register().headers["Contact"][0].endswith(f";expires={granted}")
    assert core.bound(NOW + granted - 1) == 1
    assert core.bound(NOW + granted + 1) == 0


def test_a_grant_can_be_random_between_two_bounds() -> None:
    core = open_core(granted=100, granted_least=90)
    grants = {int(Client(f"u{n}", core).plain().headers["Contact"][0].rpartition("=")[2]) for n in range(200)}
    assert grants <= set(range(90, 101))
    assert len(grants) > 3


def test_a_grant_can_end_at_a_moment_for_all() -> None:
    core = open_core(until=NOW + 300, granted_least=60)
    for user, later, granted in (("alice", 0.0, 300), ("bob", 100.0, 200), ("carol", 290.0, 60)):
        reply = Client(user, core).plain(later=later)
        assert reply.headers["Contact"][0].endswith(f";expires={granted}")


def test_the_grant_can_stand_in_the_expires_header() -> None:
    reply = Client("byheader", Core()).register()
    assert reply.headers["Expires"] == ["90"]
    assert "expires" not in reply.headers["Contact"][0]


def test_each_contact_has_an_expiry_of_its_own() -> None:
    reply = Client("shared", Core()).register(expires=600)
    assert reply.headers["Contact"] == [f"{OTHER};expires=77", "<sip:shared@192.0.2.7:5060>;expires=600"]


def test_the_200_can_leave_our_contact_out() -> None:
    assert Client("hidden", Core()).register().headers["Contact"] == [f"{OTHER};expires=77"]


def test_too_brief_an_interval_names_the_least() -> None:
    alice = Client("x423", Core())
    refused = alice.register(expires=600)
    assert (refused.code, refused.headers["Min-Expires"]) == (423, ["1200"])
    assert alice.answer(expires=1200).code == 200


def test_expires_0_and_star_remove() -> None:
    core = open_core()
    alice = Client("alice", core)
    alice.plain()
    assert "Contact" not in alice.plain(expires=0).headers
    assert core.bound(alice.now) == 0
    alice.plain()
    assert alice.plain(contact="*", expires=600).code == 400
    assert "Contact" not in alice.plain(contact="*", expires=0).headers
    assert (core.bound(alice.now), core.statistics.removed) == (0, 2)


def test_a_query_lists_without_changing() -> None:
    core = open_core()
    alice = Client("alice", core)
    alice.plain(expires=100)
    listed = alice.plain(later=40.0, contact="", expires=None)
    assert listed.headers["Contact"] == ["<sip:alice@192.0.2.7:5060>;expires=60"]
    assert core.statistics.queries == 1


def test_one_contact_only_refuses_or_replaces() -> None:
    core = Core()
    full = Client("full", core)
    assert full.register().code == 403
    query = full.answer(contact="", expires=None)
    assert query.headers["Contact"] == [f"{OTHER};expires=77"]
    single = Client("single", core)
    assert single.register().headers["Contact"] == ["<sip:single@192.0.2.7:5060>;expires=600"]


def test_star_makes_room_where_there_was_none() -> None:
    full = Client("full", Core())
    full.register()
    assert full.answer(contact="*", expires=0).code == 200
    assert full.answer().code == 200


def test_a_path_is_shown_again_and_routes_are_told() -> None:
    core = open_core()
    alice = Client("alice", core)
    (reply,) = alice.send(alice.request(more=("Path: <sip:edge.example;lr>",)))
    assert reply.headers["Path"] == ["<sip:edge.example;lr>"]
    routes = Client("routes", Core()).register()
    assert routes.headers["Service-Route"] == ["<sip:edge1.pbx.test;lr>, <sip:edge2.pbx.test;lr>"]


# ------------------------------------------------------------------------------------------------ misbehaviour


@pytest.mark.parametrize(
    ("user", "code", "header", "body"),
    [
        ("x302", 302, "Contact", "<sip:elsewhere@192.0.2.98:5060>"),
        ("x403", 403, "", ""),
        ("x404", 404, "", ""),
        ("x500", 500, "", ""),
        ("x500ra", 500, "Retry-After", "45 (soon)"),
        ("x503", 503, "", ""),
        ("x503ra-alice", 503, "Retry-After", "60"),
    ],
)
def test_a_name_can_be_refused_unasked(user: str, code: int, header: str, body: str) -> None:
    reply = Client(user, Core()).plain()
    assert reply.code == code
    assert reply.headers.get(header, [""]) == [body]


def test_a_403_can_come_after_the_right_password() -> None:
    alice = Client("x403later", Core())
    assert alice.plain().code == 401
    assert alice.register().code == 403


def test_silence_says_nothing() -> None:
    core = Core()
    alice = Client("silent", core)
    assert alice.send(alice.request()) == []
    assert core.statistics.received == 1


def test_a_200_can_come_twice_late_and_after_a_100() -> None:
    core = open_core(copies=2, delay=3.0, trying=True)
    answers = core.receive(Client("alice").request(), ADDRESS, NOW)
    assert [(a.after, a.data.split()[1]) for a in answers] == [(0.0, b"100"), (3.0, b"200"), (3.0, b"200")]


def test_a_connection_can_be_cut_in_the_middle() -> None:
    core = Core()
    (cut,) = core.receive(Client("reset").request(), ADDRESS, NOW)
    assert cut.data == b""
    later = Client("resetlater", core)
    later.keep(later.plain())
    assert later.send(later.request("Digest x=1")) == []


def test_after_some_failures_an_address_is_not_heard() -> None:
    core = Core()
    core.ban.after = 3
    alice, bob = Client("wrong-alice", core), Client("bob", core)
    alice.keep(alice.plain())
    for _ in range(3):
        alice.answer()
    assert bob.send(bob.request()) == []
    assert core.statistics.banned == 1
    assert core.receive(bob.request(), "192.0.2.8", bob.now) != []  # another address is heard
    assert bob.send(bob.request(), later=601.0) != []


def test_asking_for_a_challenge_and_a_stale_nonce_are_no_failures() -> None:
    core = Core()
    core.ban.after = 1
    alice = Client("once", core)
    alice.register()
    alice.keep(alice.answer())  # stale
    assert alice.answer().code == 200


# ----------------------------------------------------------------------------------------------------- orders


def test_an_order_changes_what_names_and_earlier_orders_left() -> None:
    core = Core()
    alice, bob = Client("alice", core), Client("bob", core)
    assert alice.register().code == 200
    core.order("a*", {"status": 503, "headers": ["Retry-After: 7"]})
    core.order("alice", {"unasked": True})
    assert alice.plain().headers["Retry-After"] == ["7"]
    assert bob.register().code == 200
    core.forget_orders()
    assert alice.answer().code == 200


def test_an_order_can_hold_for_a_number_of_registers() -> None:
    core = open_core()
    alice = Client("alice", core)
    core.order("*", {"status": 500}, times=2)
    assert [alice.plain().code for _ in range(3)] == [500, 500, 200]


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"stauts": 403}, "stauts"),
        ({"status": "403"}, "status"),
        ({"silent": 1}, "silent"),
        ({"headers": "Retry-After: 1"}, "headers"),
        ({"reset": "now"}, "reset"),
        ({"others": ["sip:x@y"]}, "others"),
    ],
)
def test_a_wrong_knob_is_named(knobs: dict[str, object], named: str) -> None:
    with pytest.raises(FakeRegistrarError, match=named):
        Core().order("*", knobs)


# ------------------------------------------------------------------------------------------------- statistics


def test_a_retransmission_is_answered_again_and_counted_apart() -> None:
    core = Core()
    data = Client("alice").request()
    first, again = core.receive(data, ADDRESS, NOW), core.receive(data, ADDRESS, NOW + 0.5)
    assert again == first
    assert (core.statistics.received, core.statistics.retransmissions, core.statistics.challenges) == (
        1,
        1,
        1,
    )


def test_a_client_that_forgets_who_it_was_is_noticed() -> None:
    core = open_core()
    alice = Client("alice", core)
    alice.plain()
    alice.call_id, alice.tag = "call-2", "t2"
    alice.plain()
    alice.cseq -= 2
    (reply,) = alice.send(alice.request().replace(b"branch=z9hG4bK", b"branch=z9hG4bKx"))
    seen = core.statistics
    assert reply.code == 200
    assert (seen.call_id_changes, seen.tag_changes, seen.cseq_regressions) == (1, 1, 1)


def test_a_gap_is_a_refresh_that_comes_too_late() -> None:
    core = open_core()
    alice = Client("alice", core)
    alice.plain(expires=60)
    alice.plain(later=59.0, expires=60)
    assert core.statistics.gaps == 0
    alice.plain(later=62.5, expires=60)
    assert (core.statistics.gaps, core.statistics.lapsed) == (1, {"alice"})
    assert core.statistics.longest_gap == pytest.approx(2.5)


def test_early_is_more_than_half_a_life_too_soon() -> None:
    core = open_core()
    for user, later in (("alice", 20.0), ("bob", 40.0)):
        client = Client(user, core)
        client.plain(expires=60)
        client.plain(later=later, expires=60)
    assert core.statistics.early == {"alice"}


def test_arrivals_are_counted_by_tenths_of_a_second() -> None:
    core = open_core()
    for number in range(5):
        Client(f"u{number}", core, now=NOW + 0.04 * number).plain()
    seen = core.statistics.as_json()
    assert seen["arrivals"] == {str(int(NOW * 10)): 3, str(int(NOW * 10) + 1): 2}
    assert (seen["peak"], seen["received"], seen["sent"], seen["users"]) == (3, 5, 5, 5)


def test_the_history_tells_what_a_client_sent() -> None:
    core = Core()
    alice = Client("alice", core)
    alice.register(expires=600)
    first, second = core.accounts["alice"].history
    assert (first.credentials, first.code) == (False, 401)
    assert (second.credentials, second.algorithm, second.nonce_count, second.code) == (
        *(True, "MD5", "00000001"),
        200,
    )
    assert second.contacts == ["<sip:alice@192.0.2.7:5060>"]


def test_rubbish_is_counted_and_other_methods_are_answered() -> None:
    core = Core()
    for rubbish in (b"", b"\xff\xfe\r\n\r\n", b"HELLO\r\n\r\n", b"REGISTER sip:x SIP/2.0\r\n\r\n"):
        assert core.receive(rubbish, ADDRESS, NOW) == []
    assert core.statistics.malformed == 4
    options = Client("alice").request().replace(b"REGISTER sip", b"OPTIONS sip")
    (answer,) = core.receive(options, ADDRESS, NOW)
    assert answer.data.startswith(b"SIP/2.0 200")
    assert core.statistics.received == 0


def test_compact_headers_are_understood() -> None:
    core = open_core()
    data = Client("alice").request()
    for name, short in (
        (b"Via", b"v"),
        (b"From", b"f"),
        (b"To", b"t"),
        (b"Call-ID", b"i"),
        (b"Contact", b"m"),
    ):
        data = data.replace(b"\r\n" + name + b": ", b"\r\n" + short + b":")
    (answer,) = core.receive(data, ADDRESS, NOW)
    assert b"expires=600" in answer.data
