"""A call is ended when both sides have been silent for the whole time, unless one of them is on hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from control.domain.journal import Step
from control.edge.errors import MediaRelayError, RelayRefusedError, RpcRefusedError
from control.edge.hang_up import Sides, hang_up
from control.edge.media_figures import talk
from control.edge.rtpengine import Rtpengine
from control.edge.silence_watch import SilenceWatch
from kemi.wire import TABLE_AGREED, TABLE_BYES, Bye, CallEvent, MediaEndEvent

QUERY = Path(__file__).parents[2] / "fixtures" / "rtpengine" / "query_both_ways.json"
LIMIT = 60.0


def answer(packets: int = 100, held: bool = False) -> dict[str, Any]:
    """What rtpengine says of a call."""
    found: dict[str, Any] = json.loads(QUERY.read_text(encoding="utf-8"))
    for tag, other in (("ft", "tt"), ("tt", "ft")):
        found["tags"][tag]["subscriptions"] = [{"tag": other, "type": "offer/answer"}]
        for media in found["tags"][tag]["medias"]:
            media["flags"] = ["initialized", "send"] if held else ["initialized", "send", "recv"]
            for stream in media["streams"]:
                stream.pop("ingress SSRCs", None)
                stream["stats"]["packets"] = packets
    found["tags"]["tt"]["via-branch"] = "b0"
    return found


class Relay(Rtpengine):
    """Says what it is told to; an exception is raised."""

    def __init__(self) -> None:
        super().__init__("relay", "192.0.2.1", 2223)
        self.says: Any = answer()
        self.asked = 0

    async def ask(self, command: str, fields: Any = None) -> dict[str, Any]:
        assert (command, fields) == ("query", {"call-id": "the-call"})
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        found: dict[str, Any] = self.says
        return found


class Watched:
    """A watch, its clock, and what it did."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.relay, self.time = Relay(), 0.0
        self.ended: list[tuple[str, Sides]] = []
        self.steps: list[Step] = []
        self.media: list[MediaEndEvent] = []
        self.watch = SilenceWatch(
            [self.relay],
            limit,
            domain="nightbell.test",
            hang_up=self._hang_up,
            remember=self.steps.append,
            media_ended=self.media.append,
            now=lambda: 1000.0 + self.time,
            clock=lambda: self.time,
        )

    async def _hang_up(self, name: str, call: str, sides: Sides) -> None:
        self.ended.append((call, sides))

    def step(self, step: str, direction: str = "in", device: str = "") -> None:
        event = CallEvent(self.time, "c1", step, device=device, direction=direction, sip_call_id="the-call")
        self.watch.step(event)

    async def after(self, seconds: float) -> None:
        self.time += seconds
        await self.watch.look()


@pytest.fixture
def watched() -> Watched:
    found = Watched()
    found.step("invite-in")
    found.step("answered", device="bob-x")
    return found


async def test_s5_silence_on_both_sides_ends_the_call_and_says_so(watched: Watched) -> None:
    await watched.after(10)
    await watched.after(LIMIT - 1)
    assert watched.ended == []
    await watched.after(1)
    assert watched.ended == [("the-call", Sides("ft", "tt", "bob-x@nightbell.test"))]
    (step,) = watched.steps
    assert (step.call, step.step, step.reason) == ("c1", "bye", "no audio from either side for 60 s")
    (media,) = watched.media
    assert (media.device_tag, media.pbx_tag) == ("tt", "ft")
    await watched.after(LIMIT)
    assert len(watched.ended) == 1


async def test_s5_one_packet_more_and_it_goes_on(watched: Watched) -> None:
    for packets in range(101, 105):
        watched.relay.says = answer(packets)
        await watched.after(LIMIT - 1)
    assert watched.ended == []


async def test_s5_the_device_that_calls_is_named_when_it_is_ended() -> None:
    watched = Watched()
    watched.step("invite-in", direction="out", device="bob-x")
    watched.step("answered")
    await watched.after(0)
    await watched.after(LIMIT)
    assert watched.ended == [("the-call", Sides("ft", "tt", "bob-x@nightbell.test", True))]
    assert [(m.device_tag, m.pbx_tag) for m in watched.media] == [("ft", "tt")]


def webrtc(packets: int, *, keys: bool = False, sent: int = 0, held: bool = False) -> dict[str, Any]:
    """The same with a device by WebRTC, from which nothing comes, and so many packets of the PBX's."""
    found = answer(packets, held)
    (media,) = found["tags"]["tt"]["medias"]
    media["flags"] += ["DTLS-SRTP", "ICE"]
    for stream in media["streams"]:
        stream["stats"]["packets"] = 0
        stream["stats_out"] = {"packets": sent}
        if keys:
            stream["flags"].append("DTLS fingerprint verified")
    return found


@pytest.mark.parametrize(
    ("sent", "why"),
    [(0, "no way to the device was found (ICE)"), (2, "no keys were agreed on with the device (DTLS)")],
)
async def test_s5_webrtc_that_does_not_come_about_ends_the_call_though_the_pbx_goes_on_sending(
    watched: Watched, sent: int, why: str
) -> None:
    for packets in range(100, 105):
        watched.relay.says = webrtc(packets, sent=sent)
        await watched.after(LIMIT / 6)
    assert watched.ended == []
    await watched.after(LIMIT / 6)
    assert len(watched.ended) == 1
    assert [step.reason for step in watched.steps] == [f"{why} for 60 s"]


@pytest.mark.parametrize("state", [{"keys": True}, {"held": True}])
async def test_s5_a_device_by_webrtc_that_has_come_about_or_is_on_hold_may_be_silent(
    watched: Watched, state: dict[str, bool]
) -> None:
    for packets in range(100, 110):
        watched.relay.says = webrtc(packets, **state)
        await watched.after(LIMIT / 6)
    assert watched.ended == []


async def test_s5_on_hold_it_may_be_silent_and_so_a_moment_after(watched: Watched) -> None:
    watched.relay.says = answer(held=True)
    for _ in range(5):
        await watched.after(LIMIT)
    watched.relay.says = answer()
    await watched.after(LIMIT - 1)
    assert watched.ended == []


@pytest.mark.parametrize("last", ["bye", "cancelled", "failed"])
async def test_a_call_that_is_over_is_not_asked_about(watched: Watched, last: str) -> None:
    watched.step(last)
    await watched.after(LIMIT)
    assert watched.relay.asked == 0


async def test_a_call_that_rings_is_not_asked_about() -> None:
    watched = Watched()
    watched.step("invite-in")
    await watched.after(LIMIT)
    assert watched.relay.asked == 0


async def test_a_call_whose_audio_goes_another_way_is_asked_about_once(watched: Watched) -> None:
    watched.relay.says = RelayRefusedError("relay answers query with 'Unknown call-id'")
    await watched.after(10)
    await watched.after(10)
    assert watched.relay.asked == 1


async def test_a_relay_that_is_away_ends_no_call(watched: Watched) -> None:
    watched.relay.says = MediaRelayError("relay does not answer")
    await watched.after(LIMIT)
    await watched.after(LIMIT)
    assert (watched.ended, watched.relay.asked) == ([], 2)


async def test_without_a_limit_nothing_is_watched() -> None:
    watched = Watched(limit=0)
    watched.step("invite-in")
    watched.step("answered")
    await watched.watch.run()
    assert watched.relay.asked == 0


@pytest.mark.parametrize(
    "broken", [{}, {"tags": []}, {"tags": {"a": {}}}, {"tags": {"a": {"subscriptions": []}}}]
)
def test_what_is_no_answered_call_is_none(broken: dict[str, Any]) -> None:
    assert talk(broken) is None


class Kamailio:
    """Knows one dialog, and where Bob's device is if ``bound`` says so."""

    def __init__(self, variables: list[dict[str, str]], routes: str = "", bound: Any = None) -> None:
        self.orders: list[tuple[str | int, ...]] = []
        self._bound = bound
        leg = {"route_set": routes, "socket": "udp:127.0.7.1:5060"}
        self._known: dict[str, Any] = {
            "call-id": "the-call",
            "from_uri": "sip:bob@nightbell.test",
            "to_uri": "sip:1001@nightbell.test",
            "caller": {"tag": "b", "contact": "sip:bob@192.0.2.9", "cseq": "2", **leg},
            "callee": {"tag": "a", "contact": "sip:192.0.2.7:5060", "cseq": "0", **leg},
            "variables": variables,
        }

    def order(self, method: str, *params: str | int) -> None:
        self.orders.append((method, *params))

    async def call(self, method: str, *params: str | int) -> Any:
        if (method, *params) == ("dlg.dlg_list", "the-call", "b"):
            return self._known
        if self._bound and (method, *params) == ("ul.lookup", "location", "bob-x@nightbell.test"):
            return {"Contacts": [{"Contact": self._bound}]}
        raise RpcRefusedError(404, "not found")

    def byes(self) -> dict[str, Bye]:
        """What was ordered, by its key; the dialog is over at the end, and what was agreed in it forgotten."""
        *orders, over, forgotten = self.orders
        assert over == ("dlg.set_state", "the-call", "b", "a", 5)
        assert forgotten == ("htable.delete", TABLE_AGREED, "c1")
        assert {order[:2] for order in orders} == {("htable.sets", TABLE_BYES)}
        return {str(key): Bye.decode(str(text)) for _, _, key, text in orders}


async def test_s5_both_sides_get_a_bye() -> None:
    kamailio = Kamailio([{"other": "x"}])
    await hang_up(kamailio, "c1", "the-call", Sides("b", "a"))
    byes = kamailio.byes()
    assert list(byes) == ["caller the-call", "callee the-call"]
    assert byes["caller the-call"] == Bye(
        "sip:bob@192.0.2.9",
        "sip:bob@192.0.2.9",
        "udp:127.0.7.1:5060",
        "From: <sip:1001@nightbell.test>;tag=a\r\nTo: <sip:bob@nightbell.test>;tag=b\r\nCall-ID: the-call\r\nCSeq: 1 BYE\r\n",
    )
    assert "From: <sip:bob@nightbell.test>;tag=b\r\n" in byes["callee the-call"].headers
    assert "CSeq: 3 BYE\r\n" in byes["callee the-call"].headers


@pytest.mark.parametrize(
    ("routes", "next_hop"),
    [("", "sip:192.0.2.7:5060"), ("<sip:192.0.2.1;lr>,<sip:192.0.2.2;lr>", "sip:192.0.2.1;lr")],
)
async def test_s1_a_pbx_that_has_challenged_is_told_with_the_number_it_expects(
    routes: str, next_hop: str
) -> None:
    kamailio = Kamailio([{"cseq_diff": "1"}], routes)
    await hang_up(kamailio, "c1", "the-call", Sides("b", "a"))
    bye = kamailio.byes()["callee the-call"]
    assert (bye.ruri, bye.next_hop, bye.socket) == ("sip:192.0.2.7:5060", next_hop, "udp:127.0.7.1:5060")
    assert "CSeq: 4 BYE\r\n" in bye.headers
    assert bye.headers.count("Route: ") == routes.count("sip:")


@pytest.mark.parametrize("device_calls", [True, False])
async def test_s5_a_device_is_reached_by_its_flow_wherever_its_contact_leads(device_calls: bool) -> None:
    bound = {"Received": "sip:192.0.2.9:4711;transport=ws", "Socket": "tls:127.0.7.1:5081"}
    kamailio = Kamailio([], bound=bound)
    await hang_up(kamailio, "c1", "the-call", Sides("b", "a", "bob-x@nightbell.test", device_calls))
    byes = kamailio.byes()
    ours, theirs = ("caller", "callee") if device_calls else ("callee", "caller")
    ours_bye, theirs_bye = byes[f"{ours} the-call"], byes[f"{theirs} the-call"]
    assert (ours_bye.next_hop, ours_bye.socket) == (bound["Received"], bound["Socket"])
    assert ours_bye.ruri != bound["Received"]
    assert theirs_bye.socket == "udp:127.0.7.1:5060"


@pytest.mark.parametrize("bound", [None, {"Received": "[not set]", "Socket": "[not set]"}])
async def test_s5_a_device_without_a_flow_is_sought_where_its_contact_leads(bound: Any) -> None:
    kamailio = Kamailio([], bound=bound)
    await hang_up(kamailio, "c1", "the-call", Sides("b", "a", "bob-x@nightbell.test", True))
    assert kamailio.byes()["caller the-call"].next_hop == "sip:bob@192.0.2.9"


async def test_a_call_that_kamailio_does_not_know_is_let_be() -> None:
    kamailio = Kamailio([])
    await hang_up(kamailio, "c2", "another", Sides("b", "a"))
    assert kamailio.orders == []
