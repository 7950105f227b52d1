"""The fake registrar's challenges, and what it thinks of answers."""

from __future__ import annotations

import pytest

from tests.fakes.registrar import Behaviour, Core, ha1
from tests.fakes.registrar.digest import Gate, Verdict
from tests.unit.fakes.registering import NOW, Client


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_is_right(algorithm: str, response: str) -> None:
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    how = Behaviour(algorithms=(algorithm,), nonce=nonce, password="Circle of Life")
    gate = Gate("Mufasa")
    gate.challenge(how, "http-auth@example.org", NOW)
    given = {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": nonce,
        "nc": "00000001",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "qop": "auth",
        "response": response,
    }
    assert gate.check(given, how, "http-auth@example.org", "GET", NOW) is Verdict.RIGHT
    other = {**given, "nc": "00000002"}
    assert gate.check(other, how, "http-auth@example.org", "GET", NOW) is Verdict.WRONG


def test_ha1_is_what_a_bench_puts_into_documents() -> None:
    # RFC 7616, 3.9.1: the same user and password as above.
    assert (
        ha1("Mufasa", "http-auth@example.org", "MD5", "Circle of Life") == "3d78807defe7de2157e2b0b6573a855f"
    )


def test_a_nonce_serves_many_registers_as_long_as_its_count_grows() -> None:
    alice = Client("alice", Core())
    assert alice.register().code == 200
    assert [alice.answer().code for _ in range(3)] == [200, 200, 200]
    alice.count = 1  # a replay
    reply = alice.answer()
    assert (reply.code, reply.challenge()["stale"]) == (401, "true")
    assert alice.core is not None
    assert (alice.core.statistics.replays, alice.core.statistics.bad_digests) == (1, 0)


def test_a_nonce_ends_with_its_life() -> None:
    alice = Client("alice", Core(default=Behaviour(nonce_life=32.0)))
    alice.register()
    assert alice.answer(later=31.0).code == 200
    late = alice.answer(later=2.0)
    assert (late.code, late.challenge()["stale"]) == (401, "true")
    alice.keep(late)
    assert alice.answer().code == 200


def test_a_wrong_password_is_challenged_anew_and_never_called_stale() -> None:
    alice = Client("alice", Core())
    alice.keep(alice.plain())
    reply = alice.answer(secret="guessed")
    assert (reply.code, "stale" in reply.challenge()) == (401, False)
    assert alice.core is not None
    assert alice.core.statistics.bad_digests == 1
    bob = Client("wrong-bob", alice.core)
    assert bob.register().code == 401


def test_a_one_time_nonce_is_stale_the_second_time() -> None:
    alice = Client("once-alice", Core())
    assert alice.register().code == 200
    again = alice.answer()
    assert (again.code, again.challenge()["stale"]) == (401, "true")


def test_nextnonce_saves_the_challenge() -> None:
    alice = Client("nextnonce", Core())
    accepted = alice.register()
    for _ in range(3):
        following = accepted.headers["Authentication-Info"][0].partition('nextnonce="')[2].rstrip('"')
        alice.challenge["nonce"], alice.count = following, 0
        accepted = alice.answer()
        assert accepted.code == 200


def test_several_challenges_are_offered_in_the_order_told() -> None:
    both = Client("both", Core()).plain()
    assert [both.challenge(n)["algorithm"] for n in (0, 1)] == ["SHA-256", "MD5"]
    first = Client("md5first", Core()).plain()
    assert [first.challenge(n)["algorithm"] for n in (0, 1)] == ["MD5", "SHA-256"]
    joined = Client("joined", Core()).plain()
    assert len(joined.headers["WWW-Authenticate"]) == 1
    assert joined.headers["WWW-Authenticate"][0].count("Digest ") == 2


@pytest.mark.parametrize("number", [0, 1])
def test_any_of_the_offered_algorithms_will_do(number: int) -> None:
    alice = Client("both-alice", Core())
    alice.keep(alice.plain(), number)
    assert alice.answer().code == 200


def test_an_algorithm_that_was_not_offered_is_wrong() -> None:
    alice = Client("sha-alice", Core())
    alice.keep(alice.plain())
    alice.challenge["algorithm"] = "MD5"
    assert alice.answer().code == 401


def test_without_qop_the_old_digest_is_right() -> None:
    alice = Client("noqop", Core())
    assert alice.register().code == 200
    assert "qop" not in alice.challenge


def test_the_odd_challenges() -> None:
    core = Core()
    assert Client("bang", core).plain().challenge()["nonce"] == "ab!!cd"
    assert Client("foreignrealm", core).plain().challenge()["realm"] == "fishing.example"
    assert Client("proxy", core).plain().code == 407
    assert Client("aka", core).plain().challenge()["algorithm"] == "AKAv1-MD5"
    stale = Client("stale", core)
    for reply in (stale.register(), stale.answer()):
        assert reply.challenge()["stale"] == "true"


def test_a_407_is_answered_by_proxy_authorization_alone() -> None:
    alice = Client("proxy-alice", Core())
    alice.keep(alice.plain())
    assert alice.answer().code == 407
    assert alice.answer(proxy=True).code == 200
