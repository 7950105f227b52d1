"""Which of a PBX's servers a connection takes."""

from __future__ import annotations

from collections import Counter

from control.domain.targets import MAX_ALTERNATIVES, Hop, Located

A, B, C = (Hop(f"192.0.2.{n}", 5060, "udp") for n in (1, 2, 3))


def located(*hops: Hop) -> Located:
    return Located(hops, tuple(hop.address for hop in hops))


def first(hops: Located, connection: str) -> str:
    targets = hops.targets(connection)
    assert targets is not None
    return targets.next_hop


def test_a_lower_priority_number_is_tried_first() -> None:
    hops = located(Hop("192.0.2.1", 5060, "tcp", 20, 5), Hop("192.0.2.2", 5062, "tcp", 10, 5))
    targets = hops.targets("c1")
    assert targets is not None
    assert targets.next_hop == "sip:192.0.2.2:5062;transport=tcp"
    assert targets.alternatives == ("sip:192.0.2.1:5060;transport=tcp",)
    assert targets.sources == ("192.0.2.1", "192.0.2.2")


def test_connections_spread_by_weight() -> None:
    hops = located(Hop("192.0.2.1", 5060, "udp", 0, 30), Hop("192.0.2.2", 5060, "udp", 0, 10))
    counts = Counter(first(hops, f"c{n}") for n in range(4000))
    assert 0.72 < counts["sip:192.0.2.1:5060;transport=udp"] / 4000 < 0.78


def test_r6_a_server_that_goes_moves_only_those_who_were_there() -> None:
    hops = [Hop(f"192.0.2.{n}", 5060, "udp", 0, 10) for n in (1, 2, 3)]
    gone = hops[0].uri
    for n in range(500):
        before = first(located(*hops), f"c{n}")
        after = first(located(*hops[1:]), f"c{n}")
        assert after != gone
        assert before in (after, gone)


def test_an_answer_in_another_order_is_the_same_answer() -> None:
    for n in range(50):
        assert located(A, B, C).targets(f"c{n}") == located(C, A, B).targets(f"c{n}")


def test_an_ipv6_address_gets_brackets() -> None:
    assert first(located(Hop("2001:db8::7", 5061, "tls")), "c1") == "sip:[2001:db8::7]:5061;transport=tls"


def test_no_server_is_no_target_and_too_many_are_cut() -> None:
    assert located().targets("c1") is None
    many = located(*(Hop(f"192.0.2.{n}", 5060, "udp", n) for n in range(1, 30))).targets("c1")
    assert many is not None
    assert len(many.alternatives) == MAX_ALTERNATIVES
    assert len(many.sources) == 29
