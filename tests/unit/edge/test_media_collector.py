"""The figures of a call are asked for when it is over, of whichever relay has them, and nothing is waited for in vain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from control.edge.errors import MediaRelayError
from control.edge.media_collector import MediaCollector
from control.edge.recorder import MediaMeasured
from control.edge.rtpengine import Rtpengine
from kemi.wire import MediaEndEvent

ADDRESS = "127.0.11.5"
CALL = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "rtpengine" / "query_one_way.json").read_text(encoding="utf-8")
)
UNKNOWN = {"result": "error", "error-reason": "Unknown call-id"}


class Relay(asyncio.DatagramProtocol):
    """The control port of an rtpengine: ``answers`` by command; without one it is silent. ``deaf`` to so many datagrams first."""

    def __init__(self, answers: dict[str, Any], deaf: int = 0) -> None:
        self.answers, self.deaf = answers, deaf
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        cookie, _, text = data.decode().partition(" ")
        question = json.loads(text)
        self.heard.append((cookie, question))
        if self.deaf:
            self.deaf -= 1
        elif question["command"] in self.answers:
            self.transport.sendto(b"0 nonsense", addr)
            self.transport.sendto(f"{cookie} {json.dumps(self.answers[question['command']])}".encode(), addr)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])


class Scene:
    def __init__(self) -> None:
        self.measured: list[MediaMeasured] = []
        self.collector: MediaCollector | None = None
        self.relays: list[Relay] = []

    async def relay(self, answers: dict[str, Any], deaf: int = 0) -> Relay:
        made = Relay(answers, deaf)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, local_addr=(ADDRESS, 0))
        self.relays.append(made)
        return made

    async def over(self, *ports: int) -> MediaCollector:
        collector = MediaCollector(
            [Rtpengine(f"relay-{port}", ADDRESS, port) for port in ports], self.measured.append
        )
        self.collector = collector
        collector.ended(MediaEndEvent(CALL["created"] + 3.0, "c1", "call@pbx", "tt", "ft"))
        while collector._tasks:
            await asyncio.gather(*collector._tasks)
        return collector


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    if made.collector is not None:
        await made.collector.close()
    for relay in made.relays:
        relay.transport.close()


async def test_the_relay_that_has_the_call_is_asked_and_told_to_forget_it(scene: Scene) -> None:
    other, mine = await scene.relay({"query": UNKNOWN}), await scene.relay({"query": CALL, "delete": CALL})
    collector = await scene.over(other.port, mine.port)
    (measured,) = scene.measured
    assert (measured.call, measured.quality.device.packets, measured.quality.pbx.packets) == ("c1", 0, 100)
    assert [question["command"] for _, question in other.heard] == ["query"]
    assert [question for _, question in mine.heard] == [
        {"command": "query", "call-id": "call@pbx"},
        {
            "command": "delete",
            "call-id": "call@pbx",
            "from-tag": "tt",
            "to-tag": "ft",
            "delete delay": 0,
        },
    ]
    assert collector.counters == {"measured": 1}


async def test_a_lost_datagram_is_sent_again_under_the_same_cookie(scene: Scene) -> None:
    relay = await scene.relay({"query": CALL, "delete": CALL}, deaf=1)
    await scene.over(relay.port)
    assert len(scene.measured) == 1
    assert relay.heard[0] == relay.heard[1]


async def test_a_relay_that_is_gone_costs_the_figures_and_no_time(scene: Scene) -> None:
    relay = await scene.relay({})
    port = relay.port
    relay.transport.close()
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    before = loop.time()
    collector = await scene.over(port)
    assert (scene.measured, collector.counters) == ([], {"unknown": 1})
    assert loop.time() - before < 0.2


@pytest.mark.parametrize(
    "tags", [[], {"ft": {}, "tt": {}}, {"ft": 1, "tt": 2}, {"ft": {"medias": 1}, "tt": 1}]
)
async def test_an_answer_that_cannot_be_read_is_no_figure(scene: Scene, tags: Any) -> None:
    relay = await scene.relay({"query": {"result": "ok", "tags": tags}, "delete": CALL})
    collector = await scene.over(relay.port)
    assert (scene.measured, collector.counters) == ([], {"unknown": 1})


async def test_silence_is_an_error_that_names_the_relay(scene: Scene) -> None:
    relay = await scene.relay({})
    client = Rtpengine("east", ADDRESS, relay.port)
    with pytest.raises(MediaRelayError, match=r"east does not answer ping at 127\.0\.11\.5:"):
        await client.ask("ping")
    client.close()
