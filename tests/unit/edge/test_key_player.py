"""A key is sent by the relay that has the call, in its turn, and its INFO answered; what cannot be sent is left to go on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from control.edge import key_player
from control.edge.errors import MediaRelayError, RelayRefusedError
from control.edge.key_player import KeyPlayer
from control.edge.rtpengine import Rtpengine
from kemi.wire import KeyPressEvent

CALL = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "rtpengine" / "query_one_way.json").read_text(encoding="utf-8")
)
NOW = CALL["tags"]["ft"]["medias"][0]["streams"][0]["last packet"] + 1.0
UNKNOWN = RelayRefusedError("unknown call-id")


class Relay(Rtpengine):
    """Knows the call or raises; ``heard`` are the commands, ``gate`` is waited for before each answer."""

    def __init__(self, says: Any = CALL) -> None:
        super().__init__("relay", "192.0.2.1", 2223)
        self.says = says
        self.refuses = False
        self.heard: list[tuple[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, command: str, fields: Any = None) -> dict[str, Any]:
        self.heard.append((command, fields))
        await self.gate.wait()
        if isinstance(self.says, Exception):
            raise self.says
        if self.refuses and command != "query":
            raise RelayRefusedError("no SSRC context")
        found: dict[str, Any] = self.says if command == "query" else {"result": "ok"}
        return found

    @property
    def played(self) -> list[str]:
        return [fields["digit"] for command, fields in self.heard if command == "play DTMF"]


class Orders:
    def __init__(self) -> None:
        self.given: list[tuple[str | int, ...]] = []

    def order(self, method: str, *params: str | int) -> None:
        self.given.append((method, *params))


class Scene:
    def __init__(self, *relays: Relay) -> None:
        self.orders, self.now = Orders(), NOW
        self.player = KeyPlayer(relays, self.orders, lambda: self.now)

    def press(self, key: str, tag: str = "ft", call: str = "the-call") -> None:
        self.player.pressed(KeyPressEvent(NOW, "c1", f"1:{ord(key)}", call, tag, key, 160))

    async def done(self) -> None:
        while tasks := list(self.player._tasks):
            await asyncio.gather(*tasks)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_player, "AGAIN_S", 0.0)


async def test_the_relay_that_has_the_call_sends_the_key_and_the_info_is_answered() -> None:
    other, mine = Relay(UNKNOWN), Relay()
    scene = Scene(other, mine)
    scene.press("5")
    await scene.done()
    side = {"call-id": "the-call", "from-tag": "ft"}
    assert mine.heard[1:] == [
        ("block DTMF", {**side, "delay-buffer": 0, "DTMF-delay": 1}),
        ("unblock DTMF", side),
        ("play DTMF", {**side, "digit": "5", "duration": 160, "volume": 10}),
    ]
    assert other.played == []
    assert scene.orders.given == [("tm.reply", 200, "OK", "1:53", "c1", ".", ".")]
    assert scene.player.counters == {"played": 1}


async def test_a_side_is_made_ready_by_its_first_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_player, "KNOWN", 1)
    relay = Relay()
    scene = Scene(relay)
    for key, call in (("1", "the-call"), ("2", "the-call"), ("3", "another"), ("4", "the-call")):
        scene.press(key, call=call)
        await scene.done()
    made = [command for command, _ in relay.heard if command in ("block DTMF", "play DTMF")]
    ready, key = "block DTMF", "play DTMF"
    assert made == [ready, key, key, ready, key, ready, key]


async def test_a_relay_that_is_mute_delays_nobody() -> None:
    mute, mine = Relay(), Relay()
    mute.gate.clear()
    scene = Scene(mute, mine)
    scene.press("5")
    await scene.done()
    assert mine.played == ["5"]


async def test_the_keys_of_a_call_are_sent_in_their_order_and_those_of_others_meanwhile() -> None:
    relay = Relay()
    scene = Scene(relay)
    relay.gate.clear()
    for key in "123":
        scene.press(key)
    scene.press("9", call="another")
    await asyncio.sleep(0.01)
    assert [fields["call-id"] for _, fields in relay.heard] == ["the-call", "another"]
    relay.gate.set()
    await scene.done()
    assert "".join(key for key in relay.played if key != "9") == "123"
    assert scene.player._turns == {}


@pytest.mark.parametrize(
    ("says", "refuses", "outcome"),
    [(UNKNOWN, False, "unknown"), (MediaRelayError("mute"), False, "unknown"), (CALL, True, "unknown")],
)
async def test_what_no_relay_takes_is_not_answered(says: Any, refuses: bool, outcome: str) -> None:
    relay = Relay(says)
    relay.refuses = refuses
    scene = Scene(relay)
    scene.press("5")
    await scene.done()
    assert scene.orders.given == []
    assert scene.player.counters == {outcome: 1}


@pytest.mark.parametrize("silent", ["tt", "ft"])
async def test_a_phone_that_sends_no_audio_has_its_key_sent_when_it_begins_or_not_at_all(silent: str) -> None:
    relay = Relay()
    scene = Scene(relay)
    if silent == "ft":
        relay.says = json.loads(json.dumps(CALL).replace(str(int(NOW) - 1), str(int(NOW) - 10)))
    scene.press("5", tag=silent)
    await asyncio.sleep(0.01)
    assert relay.played == []
    if silent == "ft":
        relay.says = CALL
    else:
        scene.now += key_player.PATIENCE_S
    await scene.done()
    assert scene.player.counters == ({"played": 1} if silent == "ft" else {"silent": 1})


async def test_a_key_that_comes_too_late_is_left_alone_and_one_sent_too_late_not_answered() -> None:
    relay = Relay()
    scene = Scene(relay)
    scene.now += key_player.PATIENCE_S
    scene.press("5")
    await scene.done()
    assert (relay.played, scene.player.counters) == ([], {"late": 1})
    scene.now = NOW
    relay.gate.clear()
    scene.press("6")
    await asyncio.sleep(0.01)
    scene.now = NOW + key_player.ANSWER_S + 0.01
    relay.gate.set()
    await scene.done()
    assert (relay.played, scene.orders.given) == (["6"], [])


async def test_no_more_are_taken_than_can_be_and_closing_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_player, "MOST", 1)
    relay = Relay()
    relay.gate.clear()
    scene = Scene(relay)
    scene.press("1")
    scene.press("2")
    assert scene.player.counters == {"late": 1}
    await scene.player.close()
    await asyncio.sleep(0)
    assert scene.player._tasks == {}
