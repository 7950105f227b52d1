"""Reads the figures of a call's audio from the media relay when the call is over, and lets its ports go.

The SIP worker that passed the BYE on has told rtpengine to forget the call in a few seconds. In between it is asked here,
and told to forget at once. Should this process be away, the ports are free a little later and the journal lacks the figures.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from control.domain.quality import Quality
from control.edge import media_figures
from control.edge.errors import MediaRelayError
from control.edge.recorder import MediaMeasured
from control.edge.rtpengine import Rtpengine
from kemi.wire import MediaEndEvent

log = structlog.get_logger(__name__)

MOST = 500  # calls asked about at a time; beyond, rtpengine is slow or away, and their figures are given up


class MediaCollector:
    """Asks all relays, as Kamailio alone knows which one a call went through: the others do not know the call.

    ``counters`` counts ``measured`` calls, those ``unknown`` to every relay and those ``given-up``.
    """

    def __init__(self, relays: Sequence[Rtpengine], remember: Callable[[MediaMeasured], None]) -> None:
        self._relays = relays
        self._remember = remember
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    def ended(self, event: MediaEndEvent) -> None:
        """The media of a call is over; returns at once."""
        if len(self._tasks) >= MOST:
            self.counters["given-up"] += 1
            return
        task = asyncio.create_task(self._collect(event), name=f"media-{event.call}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way, and let the relays go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for relay in self._relays:
            relay.close()

    async def _collect(self, event: MediaEndEvent) -> None:
        found = await asyncio.gather(*(self._measure(relay, event) for relay in self._relays))
        quality = next((each for each in found if each is not None), None)
        if quality is None:
            self.counters["unknown"] += 1
            return
        self.counters["measured"] += 1
        self._remember(MediaMeasured(event.call, event.ts, quality))

    async def _measure(self, relay: Rtpengine, event: MediaEndEvent) -> Quality | None:
        try:
            answer = await relay.ask("query", {"call-id": event.sip_call_id})
            quality = media_figures.read(answer, event.device_tag, event.pbx_tag, event.ts)
            await relay.ask("delete", _now(event))
        except MediaRelayError:  # as a rule: it has never heard of this call
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("media-figures-unreadable", relay=relay.name, error=repr(error))
            return None
        return quality


def _now(event: MediaEndEvent) -> dict[str, object]:
    return {
        "call-id": event.sip_call_id,
        "from-tag": event.device_tag,
        "to-tag": event.pbx_tag,
        "delete delay": 0,
    }
