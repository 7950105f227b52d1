"""What is kept of where PBXs are, when it is looked up again, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from control.domain.targets import Hop, Located, Route
from control.edge import resolver as resolver_module
from control.edge.errors import HostNotFoundError, NameServerError
from control.edge.locator import Found
from control.edge.resolver import Resolver

PBX, OTHER = Route("pbx.example", 0, "udp"), Route("other.example", 5060, "tcp")


def at(address: str) -> Located:
    return Located((Hop(address, 5060, "udp"),), (address,))


class Desk:
    """A resolver, and DNS as a table; a route that is not in it is not found."""

    def __init__(self, known: dict[Route, Located] | None = None) -> None:
        self.table: dict[Route, Located] = {}
        self.ttl = 300.0
        self.asked: list[Route] = []
        self.changed: list[Route] = []
        self.mute: asyncio.Event | None = None
        self.down = False
        self.resolver = Resolver(self.locate, self.changed.append, known)
        self.task = asyncio.create_task(self.resolver.run())

    async def locate(self, route: Route) -> Found:
        self.asked.append(route)
        if self.mute is not None:
            await self.mute.wait()
        if self.down:
            raise NameServerError("down")
        if route not in self.table:
            raise HostNotFoundError(f"the name {route.host} has no address")
        return Found(self.table[route], self.ttl)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(3):
            while not condition():  # noqa: ASYNC110  what is awaited is the resolver's own clock
                await asyncio.sleep(0.001)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    desk.task.cancel()
    await asyncio.gather(desk.task, return_exceptions=True)


async def test_who_needs_a_route_gets_it_and_no_word_besides(desk: Desk) -> None:
    desk.table[PBX] = at("192.0.2.1")
    assert await desk.resolver.need({PBX})
    assert desk.resolver.located == {PBX: at("192.0.2.1")}
    assert desk.changed == []
    assert not await desk.resolver.need({PBX})
    assert desk.asked == [PBX]


async def test_a_route_is_looked_up_again_when_its_records_run_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_module, "SHORTEST_S", 0.01)
    desk.table, desk.ttl = {PBX: at("192.0.2.1")}, 0.0
    await desk.resolver.need({PBX})
    await desk.until(lambda: len(desk.asked) >= 3)
    assert desk.changed == [], "the same answer is no news"
    desk.table[PBX] = at("192.0.2.9")
    await desk.until(lambda: desk.changed == [PBX])
    assert desk.resolver.located[PBX] == at("192.0.2.9")


@pytest.mark.parametrize(("ttl", "pause"), [(0.0, 30.0), (300.0, 300.0), (86_400.0, 3600.0)])
async def test_a_time_to_live_is_taken_within_bounds(desk: Desk, ttl: float, pause: float) -> None:
    desk.table, desk.ttl = {PBX: at("192.0.2.1")}, ttl
    before = asyncio.get_running_loop().time()
    await desk.resolver.need({PBX})
    (due, _), *_ = desk.resolver._due
    assert pause <= due - before < pause + 3


async def test_the_last_good_answer_outlives_the_name_server(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_module, "SHORTEST_S", 0.01)
    monkeypatch.setattr(resolver_module, "RETRY_S", 0.01)
    desk.table, desk.ttl = {PBX: at("192.0.2.1")}, 0.0
    await desk.resolver.need({PBX})
    for ill in ("down", "gone"):
        desk.down = ill == "down"
        if ill == "gone":
            desk.table.clear()
        asked = len(desk.asked)
        await desk.until(lambda asked=asked: len(desk.asked) > asked + 2)  # type: ignore[misc]
        assert desk.resolver.located == {PBX: at("192.0.2.1")}
        assert desk.resolver.missing == set()
    assert desk.changed == []
    assert desk.resolver.counters["failed"] >= 4


async def test_a_route_that_was_never_found_is_missing_until_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_module, "RETRY_S", 0.01)
    await desk.resolver.need({PBX})
    assert desk.resolver.missing == {PBX}
    desk.table[PBX] = at("192.0.2.1")
    await desk.until(lambda: desk.changed == [PBX])
    assert desk.resolver.missing == set()


async def test_nobody_waits_long_for_a_mute_name_server_and_is_told_later(desk: Desk) -> None:
    desk.mute = asyncio.Event()
    desk.table[PBX] = at("192.0.2.1")
    assert await desk.resolver.need({PBX}, within=0.01)
    assert desk.resolver.located == {}
    assert desk.resolver.missing == set(), "not known yet is not nowhere"
    desk.mute.set()
    await desk.until(lambda: desk.changed == [PBX])


async def test_a_mute_name_server_is_given_up_at_last(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "LOOKUP_S", 0.02)
    desk.mute = asyncio.Event()
    await desk.resolver.need({PBX}, within=0.0)
    await desk.until(lambda: desk.changed == [PBX])
    assert desk.resolver.missing == {PBX}


async def test_what_an_earlier_life_found_holds_until_it_is_looked_up(desk: Desk) -> None:
    second = Desk({PBX: at("192.0.2.1"), OTHER: at("192.0.2.2")})
    second.down = True
    await second.resolver.need({PBX})
    assert second.resolver.located == {PBX: at("192.0.2.1")}, "what nobody needs is forgotten"
    second.task.cancel()


async def test_a_route_that_is_not_needed_any_more_is_not_looked_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_module, "SHORTEST_S", 0.005)
    desk.table, desk.ttl = {PBX: at("192.0.2.1"), OTHER: at("192.0.2.2")}, 0.0
    await desk.resolver.need({PBX, OTHER})
    await desk.resolver.need({OTHER})
    # On a busy machine the next look-up has begun while it was needed.
    await desk.until(lambda: PBX not in desk.resolver._tasks)
    asked = desk.asked.count(OTHER)
    before = desk.asked.count(PBX)
    await desk.until(lambda: desk.asked.count(OTHER) > asked + 3)
    assert desk.asked.count(PBX) == before
    assert set(desk.resolver.located) == {OTHER}
