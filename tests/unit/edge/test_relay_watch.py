"""A media relay that is gone is told of once, and so is its return."""

from __future__ import annotations

from typing import Any

from control.edge.errors import MediaRelayError
from control.edge.recorder import RelaySeen
from control.edge.relay_watch import RelayWatch
from control.edge.rtpengine import Rtpengine


class Scripted(Rtpengine):
    """Answers, one after the other; an exception is raised."""

    def __init__(self, name: str, *answers: Any) -> None:
        super().__init__(name, "192.0.2.1", 2223)
        self._script = list(answers)

    async def ask(self, command: str, fields: Any = None) -> dict[str, Any]:
        assert command == "statistics"
        answer = self._script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found


def calls(number: int) -> dict[str, Any]:
    return {"statistics": {"currentstatistics": {"sessionsown": number}}}


async def test_each_is_told_of_at_the_start_and_when_something_changes() -> None:
    told: list[RelaySeen] = []
    gone = MediaRelayError("east does not answer statistics at 192.0.2.1:2223")
    east = Scripted("east", calls(2), calls(3), gone, gone, {"nonsense": 1}, calls(0))
    west = Scripted("west", *[calls(7)] * 6)
    watch = RelayWatch([east, west], told.append, lambda: 100.0)
    seen = []
    for _ in range(6):
        await watch.look()
        seen.append(watch.calls["east"])
    assert seen == [2, 3, None, None, None, 0]
    assert watch.calls["west"] == 7
    assert told == [
        RelaySeen("east", 100.0, True, ""),
        RelaySeen("west", 100.0, True, ""),
        RelaySeen("east", 100.0, False, str(gone)),
        RelaySeen("east", 100.0, True, ""),
    ]
