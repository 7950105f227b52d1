"""What the edge agent wants ended is ended, once."""

from __future__ import annotations

from kemi.wire import TABLE_BYES, Bye, CounterEvent
from tests.fakes.edge import Edge, requests

BYE = Bye(
    "sip:1001@192.0.2.7",
    "sip:192.0.2.7:5060",
    "udp:127.0.7.1:5060",
    "From: <sip:bob@nightbell.test>;tag=b\r\nTo: <sip:1001@192.0.2.7>;tag=a\r\nCall-ID: the-call\r\nCSeq: 4 BYE\r\n",
)


def test_s5_a_bye_leaves_once(edge: Edge) -> None:
    edge.kamailio.htable.sht_sets(TABLE_BYES, "the-call", BYE.encode())
    (sent,) = requests(edge.kamailio.run_timer("ksr_rtimer_byes"), "BYE")
    assert (sent.to, sent.message.uri) == (BYE.next_hop, BYE.ruri)
    assert sent.message.get("CSeq") == "4 BYE"
    assert edge.kamailio.run_timer("ksr_rtimer_byes") == []


def test_what_is_no_bye_is_counted_and_dropped(edge: Edge) -> None:
    edge.kamailio.htable.sht_sets(TABLE_BYES, "the-call", "nonsense")
    assert edge.kamailio.run_timer("ksr_rtimer_byes") == []
    assert [e.name for e in edge.events_of(CounterEvent)] == ["bye-unreadable"]
