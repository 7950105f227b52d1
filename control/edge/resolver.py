"""Where each route leads, looked up again as its records run out, away from the SIP path: Kamailio is only given addresses."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from control.domain.targets import Located, Route
from control.edge.errors import LocateError
from control.edge.locator import Found

log = structlog.get_logger(__name__)

NEED_S = 0.5  # how long whoever needs new routes waits for them; what comes later is told later
LOOKUP_S = 10.0  # all questions of one route together
SHORTEST_S, LONGEST_S = 30.0, 3600.0  # a record's time to live is taken within these
RETRY_S = 30.0  # after a look-up that failed
_AT_ONCE = 20

Locate = Callable[[Route], Awaitable[Found]]


class Resolver:
    """Keeps ``located`` for the routes that are needed. What was found last is kept when a look-up fails: a name server
    that is down takes no PBX away.

    ``known`` is what an earlier life has found. ``on_change`` is called with each route that leads elsewhere now, or that
    turned out to lead nowhere, unless somebody waits for it in ``need``. ``counters`` counts ``failed``.
    """

    def __init__(
        self, locate: Locate, on_change: Callable[[Route], None], known: Mapping[Route, Located] | None = None
    ) -> None:
        self._locate = locate
        self._on_change = on_change
        self.located: dict[Route, Located] = dict(known or {})
        self._routes: frozenset[Route] = frozenset()
        self._failed: set[Route] = set()
        self._awaited: set[Route] = set()
        self._due: list[tuple[float, Route]] = []
        self._tasks: dict[Route, asyncio.Task[None]] = {}
        self._scheduled = asyncio.Event()
        self._few = asyncio.Semaphore(_AT_ONCE)
        self.counters: Counter[str] = Counter()

    @property
    def missing(self) -> set[Route]:
        """The routes that are needed and lead nowhere, as far as is known."""
        return {route for route in self._failed if route not in self.located}

    async def need(self, routes: Iterable[Route], within: float | None = None) -> bool:
        """From now on these routes are followed, and no others; whether some are new.

        Returns once the new ones have been looked up, or after ``within`` seconds (NEED_S if None).
        """
        wanted = frozenset(routes)
        new = wanted - self._routes
        self._routes = wanted
        self._failed &= wanted
        for route in self.located.keys() - wanted:
            del self.located[route]
        if not new:
            return False
        self._awaited |= new
        try:
            patience = NEED_S if within is None else within
            await asyncio.wait([self._start(route) for route in sorted(new)], timeout=patience)
        finally:
            self._awaited -= new
        return True

    async def run(self) -> None:
        """Look each route up again when it is due, for ever."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._scheduled.clear()
                pause = self._due[0][0] - loop.time() if self._due else None
                if pause is None or pause > 0:
                    try:
                        async with asyncio.timeout(pause):
                            await self._scheduled.wait()
                    except TimeoutError:
                        pass
                    continue
                _, route = heapq.heappop(self._due)
                if route in self._routes:
                    self._start(route)
        finally:
            for task in self._tasks.values():
                task.cancel()

    def _start(self, route: Route) -> asyncio.Task[None]:
        task = self._tasks.get(route)
        if task is None:
            task = self._tasks[route] = asyncio.create_task(self._look(route), name=f"locate-{route.host}")
            task.add_done_callback(lambda _: self._tasks.pop(route, None))
        return task

    async def _look(self, route: Route) -> None:
        news, pause = False, RETRY_S
        try:
            async with self._few, asyncio.timeout(LOOKUP_S):
                found = await self._locate(route)
        except (LocateError, OSError) as error:  # TimeoutError is an OSError
            self.counters["failed"] += 1
            log.warning("lookup-failed", host=route.host, error=str(error) or f"no answer in {LOOKUP_S} s")
            news = route not in self.located and route not in self._failed
            self._failed.add(route)
        else:
            news = self.located.get(route) != found.located
            pause = min(max(found.ttl, SHORTEST_S), LONGEST_S)
            if route in self._routes:
                self.located[route] = found.located
            self._failed.discard(route)
        if route not in self._routes:
            return
        heapq.heappush(self._due, (asyncio.get_running_loop().time() + pause, route))
        self._scheduled.set()
        if news and route not in self._awaited:
            self._on_change(route)
