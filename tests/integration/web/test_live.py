"""Live pages, over the real server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from control.domain.journal import Step
from control.domain.wakes import DeviceWake, WaitPolicy
from control.host.process import Process, Program
from control.host.readiness import web as web_answers
from control.services import installation, journal, people, wakes
from control.store.session import Store
from demo.ports import free_ports

ADDRESS = "127.0.0.1"
WORLD = "phones.example.org"  # the name of the phones' pages, and of nothing else
WATCHERS = 200


class Web:
    """A server of its own, and the store it reads."""

    def __init__(self, home: Path) -> None:
        (port,) = free_ports(ADDRESS, 1)
        url = f"sqlite:///{home}/state/control.db"
        installation.initialise(home, url)
        (home / "nightbell.toml").write_text(
            f'[web]\naddress = "{ADDRESS}"\nport = {port}\n[phone]\nurl = "https://{WORLD}"\n'
        )
        self.store = Store.open(url, home)
        self.url = f"http://{ADDRESS}:{port}"
        self.home = home
        command = (str(Path(sys.executable).with_name("nightbell")), "web", "--home", str(home))
        ready = lambda: web_answers(ADDRESS, port)  # noqa: E731
        self.process = Process(Program("web", command, home / "web.log", home / "web.pid", ready))

    def push_by_log(self) -> None:
        """Set up the push provider that only logs, and start anew with it."""
        with (self.home / "nightbell.toml").open("a") as file:
            file.write("[push.log]\ndevelopment = true\n")
        self.process.stop()
        self.process.start()

    def note(self, *steps: Step) -> None:
        with self.store.write() as session:
            journal.record(session, steps)


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    web = Web(tmp_path)
    web.process.start()
    yield web
    web.process.stop()
    web.store.close()


@pytest.fixture
async def http(web: Web) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(web.url, connector=connector) as http:
        yield http


def rings(call: str, at: float) -> Step:
    return Step(call, at, "invite-in", direction="in", caller="1001", aor="sip:alice@nightbell.test")


async def until_page_has(stream: aiohttp.ClientResponse, words: str) -> str:
    """The text of the first page that has these words."""
    async with asyncio.timeout(10):
        lines: list[str] = []
        async for raw in stream.content:
            line = raw.decode().rstrip("\n")
            if line.startswith("data: "):
                lines.append(line.removeprefix("data: "))
            elif not line and lines:
                page, lines = "\n".join(lines), []
                if words in page:
                    return page
    raise AssertionError(f"the stream ended before {words!r} came")


async def test_a_page_with_many_watchers_tells_them_all_and_delays_nobody_else(
    web: Web, http: aiohttp.ClientSession
) -> None:
    async with AsyncExitStack() as open_streams:
        streams = [await open_streams.enter_async_context(http.get("/live/calls")) for _ in range(WATCHERS)]
        await asyncio.gather(*(until_page_has(stream, "No calls yet") for stream in streams))
        web.note(rings("a1", time.time()))
        await asyncio.gather(*(until_page_has(stream, "1001 → alice") for stream in streams))
        began = time.monotonic()
        async with http.get("/api/calls") as answer:
            assert answer.status == 200
        assert time.monotonic() - began < 2


async def test_the_page_of_a_call_grows_step_by_step_and_says_when_it_is_over(
    web: Web, http: aiohttp.ClientSession
) -> None:
    now = time.time()
    web.note(rings("a1", now))
    async with http.get("/live/calls/a1") as stream:
        assert stream.content_type == "text/event-stream"
        await until_page_has(stream, "Under way.")
        web.note(Step("a1", now + 1, "push-sent", "alice-1", "apns"))
        assert "/static/live.js" in await until_page_has(stream, "Push sent to APNs")
        web.note(Step("a1", now - 60, "cancelled", code=487))  # long over: nothing more is to come
        assert "/static/live.js" not in await until_page_has(stream, "The caller gave up")


async def test_a_live_list_shows_only_what_was_asked_for(web: Web, http: aiohttp.ClientSession) -> None:
    now = time.time()
    async with http.get("/live/calls?outcome=failed") as stream:
        await until_page_has(stream, "No calls like that")
        web.note(rings("a1", now))
        web.note(rings("b2", now), Step("b2", now + 1, "failed", code=486))
        page = await until_page_has(stream, "/calls/b2")
        assert "/calls/a1" not in page


async def test_the_page_of_a_device_follows_its_wakes(web: Web, http: aiohttp.ClientSession) -> None:
    now = time.time()
    with web.store.write() as session:
        people.add_user(session, "alice")
        device = people.add_device(session, "alice", "Phone", "nightbell.test")[0].id
    async with http.get(f"/live/devices/{device}") as stream:
        await until_page_has(stream, "It has not been woken yet.")
        with web.store.write() as session:
            wakes.record(session, [DeviceWake("w1", device, "c1", now, now + 20)], WaitPolicy())
        await until_page_has(stream, "under way")


async def test_what_is_no_live_page_is_refused_and_foreign_host_names_are(
    web: Web, http: aiohttp.ClientSession
) -> None:
    for path in ("/live/calls/none", "/live/health", "/live/nothing", "/live/calls?outcome=x", "/live/"):
        async with http.get(path) as answer:
            assert answer.status == 404, path
    for host in ("evil.example", WORLD):
        async with http.get("/live/calls", headers={"Host": host}) as answer:
            assert answer.status == 400
    async with http.post("/live/calls") as answer:
        assert answer.status == 405


async def test_those_who_watch_do_not_keep_the_server_from_ending(
    web: Web, http: aiohttp.ClientSession
) -> None:
    async with http.get("/live/calls") as stream:
        await until_page_has(stream, "No calls yet")
        began = time.monotonic()
        await asyncio.to_thread(web.process.stop)
        assert time.monotonic() - began < 6
    log = web.process.program.log.read_text()
    assert "Traceback" not in log
