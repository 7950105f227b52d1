"""Watches the media relays, so that somebody learns of one that is gone: Kamailio only learns of it by a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from control.edge.errors import MediaRelayError
from control.edge.recorder import RelaySeen
from control.edge.rtpengine import Rtpengine

log = structlog.get_logger(__name__)

EVERY_S = 2.0


class RelayWatch:
    """Asks each relay every two seconds. ``calls`` has how many each has in hand, None for one that does not answer.

    ``remember`` is told when one is gone, when it is back, and of each once at the start: an alarm may stand from before.
    """

    def __init__(
        self, relays: Sequence[Rtpengine], remember: Callable[[RelaySeen], None], now: Callable[[], float]
    ) -> None:
        self._relays = relays
        self._remember = remember
        self._now = now
        self._up: dict[str, bool] = {}
        self.calls: dict[str, int | None] = {}

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Ask all of them once."""
        await asyncio.gather(*(self._ask(relay) for relay in self._relays))

    async def _ask(self, relay: Rtpengine) -> None:
        calls, why = None, ""
        try:
            answer = await relay.ask("statistics")
            calls = int(answer["statistics"]["currentstatistics"]["sessionsown"])
        except MediaRelayError as error:
            why = str(error)
        except (KeyError, TypeError, ValueError) as error:
            why = f"{relay.name} answers what cannot be read: {error!r}"
        self.calls[relay.name] = calls
        up = calls is not None
        if self._up.get(relay.name) != up:
            self._up[relay.name] = up
            if not up:
                log.warning("media-relay-down", relay=relay.name, why=why)
            self._remember(RelaySeen(relay.name, self._now(), up, why))
