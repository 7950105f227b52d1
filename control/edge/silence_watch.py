"""Ends calls in which neither side has been heard for long: both are gone without a BYE, or a firewall lets no audio through.

One side alone may be silent, unless it is one by WebRTC whose way (ICE) or keys (DTLS) have never come about: that hears nothing,
either, whatever the other one sends.

rtpengine would only forget such a call; the two ends would go on showing it, and the PBX charging for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from control.domain.journal import HANG_UPS, Step
from control.domain.quality import Obstacle, Side
from control.edge import media_figures
from control.edge.errors import MediaRelayError, RelayRefusedError
from control.edge.hang_up import Sides
from control.edge.media_figures import Talk
from control.edge.rtpengine import Rtpengine
from kemi.wire import CallEvent, MediaEndEvent

log = structlog.get_logger(__name__)

MOST = 20_000  # calls watched; beyond, the oldest are let be
AT_ONCE = 50  # questions under way


@dataclass
class _Call:
    """One call: how many packets it has had, and since when no more came (event loop time); None: not answered yet.

    ``device`` is the id of the one that calls, or has answered; empty for what is none of ours.
    """

    sip_call_id: str
    device: str
    device_calls: bool
    since: float | None = None
    packets: int = -1


class SilenceWatch:
    """Asks the relays about each answered call, six times within ``limit`` seconds; 0: never.

    A call that somebody has put on hold may be silent. ``hang_up`` is given our reference, the Call-ID and the two sides,
    ``remember`` gets the journal's step, ``media_ended`` frees the ports. ``domain`` is that of the devices.
    Calls from before this process are not watched. ``counters`` counts those ``ended``.
    """

    def __init__(
        self,
        relays: Sequence[Rtpengine],
        limit: float,
        *,
        domain: str,
        hang_up: Callable[[str, str, Sides], Awaitable[None]],
        remember: Callable[[Step], None],
        media_ended: Callable[[MediaEndEvent], None],
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._relays = relays
        self._limit = limit
        self._domain = domain
        self._hang_up = hang_up
        self._remember = remember
        self._media_ended = media_ended
        self._now = now
        self._clock = clock
        self._calls: dict[str, _Call] = {}
        self._window = asyncio.Semaphore(AT_ONCE)
        self.counters: Counter[str] = Counter()

    def step(self, event: CallEvent) -> None:
        """A step of a call; returns at once."""
        if not self._limit:
            return
        if event.step == "invite-in":
            if len(self._calls) >= MOST:
                del self._calls[next(iter(self._calls))]
            self._calls[event.call] = _Call(event.sip_call_id, event.device, event.direction == "out")
        elif event.step == "answered":
            call = self._calls.get(event.call)
            if call is not None:
                call.since = self._clock()
                call.device = call.device or event.device
        elif event.step in (*HANG_UPS, "cancelled", "failed"):
            self._calls.pop(event.call, None)

    async def run(self) -> None:
        """Watch for ever."""
        while self._limit:
            await self.look()
            await asyncio.sleep(self._limit / 6)

    async def look(self) -> None:
        """Ask about all of them once."""
        answered = [(name, call) for name, call in self._calls.items() if call.since is not None]
        await asyncio.gather(*(self._ask(name, call) for name, call in answered))

    async def _ask(self, name: str, call: _Call) -> None:
        async with self._window:
            answers = await asyncio.gather(*(_query(relay, call.sip_call_id) for relay in self._relays))
        talk = next((media_figures.talk(answer) for answer in answers if answer), None)
        now = self._clock()
        if talk is None:
            if None not in answers:
                self._calls.pop(name, None)  # its audio goes another way, or it is over
        elif talk.held or (talk.packets != call.packets and not talk.obstacle):
            call.packets, call.since = talk.packets, now
        elif call.since is not None and now - call.since >= self._limit:
            await self._end(name, call, talk)

    async def _end(self, name: str, call: _Call, talk: Talk) -> None:
        if self._calls.pop(name, None) is None:
            return  # it ended by itself meanwhile
        self.counters["ended"] += 1
        log.warning("call-silent", call=name, seconds=self._limit)
        device = f"{call.device}@{self._domain}" if call.device else ""
        await self._hang_up(
            name, call.sip_call_id, Sides(talk.caller, talk.callee, device, call.device_calls)
        )
        at, why = self._now(), f"{_why(talk.obstacle)} for {self._limit:g} s"
        self._remember(Step(call=name, at=at, step="bye", reason=why))
        tags = (talk.caller, talk.callee) if call.device_calls else (talk.callee, talk.caller)
        self._media_ended(MediaEndEvent(at, name, call.sip_call_id, *tags))


def _why(obstacle: Obstacle) -> str:
    # PBXs speak no WebRTC.
    return obstacle.words(Side.DEVICE) if obstacle else "no audio from either side"


async def _query(relay: Rtpengine, sip_call_id: str) -> dict[str, Any] | None:
    """What it says of the call; empty when it does not know it, None when it does not answer what can be read."""
    try:
        return await relay.ask("query", {"call-id": sip_call_id})
    except RelayRefusedError:
        return {}
    except MediaRelayError:
        return None
