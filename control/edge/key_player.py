"""Has the media relay send a key that was pressed by INFO as telephone-events (RFC 4733), and answers the INFO.

Kamailio holds the INFO meanwhile. What is not answered in time goes on to the other side as it came: so it is when this process is
away, when no relay knows the call, and when who pressed sends no audio, as rtpengine puts events in the place of its packets.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from control.edge import media_figures
from control.edge.errors import MediaRelayError
from control.edge.rpc import Orders
from control.edge.rtpengine import Rtpengine
from kemi.wire import KEY_PRESS_HELD_MS, KeyPressEvent

log = structlog.get_logger(__name__)

MOST = 500  # keys in hand; beyond, the relays are slow or away
KNOWN = 5_000  # sides of calls that are remembered to be ready; any other is made so once more
AGAIN_S = 0.1
# No key is sent later than that, and no INFO answered: it may be on its way to the other side by then.
PATIENCE_S = KEY_PRESS_HELD_MS / 1000 - 0.3
ANSWER_S = KEY_PRESS_HELD_MS / 1000 - 0.1


class KeyPlayer:
    """Asks all relays, as Kamailio alone knows which one a call goes through; the keys of one call one after the other.

    ``counters`` counts the keys ``played``, those of ``silent`` phones, those ``unknown`` to every relay, and those given up as
    too ``late``.
    """

    def __init__(self, relays: Sequence[Rtpengine], orders: Orders, now: Callable[[], float]) -> None:
        self._relays = relays
        self._orders = orders
        self._now = now
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._delayed: dict[tuple[str, str], None] = {}  # the sides, by Call-ID and tag; the oldest go first
        self.counters: Counter[str] = Counter()

    def pressed(self, event: KeyPressEvent) -> None:
        """A key was pressed; returns at once."""
        if len(self._tasks) >= MOST:
            self.counters["late"] += 1
            return
        task = asyncio.create_task(self._take_turn(event), name=f"key-{event.call}")
        self._tasks[task] = event.sip_call_id
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Give up what is under way; the relays are closed by whoever else uses them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        call = self._tasks.pop(task)
        if call not in self._tasks.values():
            self._turns.pop(call, None)

    async def _take_turn(self, event: KeyPressEvent) -> None:
        async with self._turns.setdefault(event.sip_call_id, asyncio.Lock()):
            outcome = await self._play(event)
            if outcome == "played" and self._now() > event.ts + ANSWER_S:
                outcome = "late"
        self.counters[outcome] += 1
        if outcome == "played":
            self._orders.order("tm.reply", 200, "OK", event.transaction, event.call, ".", ".")
        else:
            log.info("key-not-played", call=event.call, why=outcome)

    async def _play(self, event: KeyPressEvent) -> str:
        through = [asyncio.create_task(self._through(relay, event)) for relay in self._relays]
        try:
            for first in asyncio.as_completed(through):
                if (outcome := await first) != "unknown":
                    return outcome
            return "unknown"
        finally:
            for task in through:
                task.cancel()

    async def _through(self, relay: Rtpengine, event: KeyPressEvent) -> str:
        """What becomes of the key at this relay."""
        outcome = "late"
        try:
            while self._now() < event.ts + PATIENCE_S:
                answer = await relay.ask("query", {"call-id": event.sip_call_id})
                if media_figures.sends(answer, event.tag, event.ts):
                    await self._send(relay, event)
                    return "played"
                outcome = "silent"
                await asyncio.sleep(AGAIN_S)  # the audio may be about to begin
        except MediaRelayError:  # as a rule: it has never heard of this call
            return "unknown"
        return outcome

    async def _send(self, relay: Rtpengine, event: KeyPressEvent) -> None:
        """Raises MediaRelayError.

        rtpengine has a way to put events among packets that it passes on as they are (inject-DTMF), which does so only while
        their timestamps are below 2^31: in half of all calls. Where it transcodes it always does. A delay of events, be it one
        millisecond, makes it transcode what this side sends, from its first key to the end of the call.
        """
        side = {"call-id": event.sip_call_id, "from-tag": event.tag}
        if (event.sip_call_id, event.tag) not in self._delayed:
            await relay.ask("block DTMF", {**side, "delay-buffer": 0, "DTMF-delay": 1})
            await relay.ask("unblock DTMF", side)  # the delay stays
            if len(self._delayed) >= KNOWN:
                del self._delayed[next(iter(self._delayed))]
            self._delayed[event.sip_call_id, event.tag] = None
        key = {"digit": event.key, "duration": event.milliseconds, "volume": 10}
        await relay.ask("play DTMF", {**side, **key})
