"""Live pages: whoever looks at one gets it anew, as a server-sent event, each time that what it shows has changed.

Asks the database for all watchers together, and makes each page once however many look at it. Runs on the event loop of the
server, so that a watcher costs a connection and no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.utils import host_is_trusted

from control.domain.errors import DomainError, NotFoundError

log = structlog.get_logger(__name__)

PREFIX = "/live"
EXTENSION = "nightbell-live"  # where the Flask application keeps its live pages
LOOK_S = 0.5  # how often the database is asked, while somebody watches
SHARE = 4  # and it is left in peace for at least so many times as long as asking took
QUIET_S = 15.0  # a comment so often shows that the connection lives, to both ends
MOST = 2000  # watchers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Version = Callable[[], object]  # of the page of the current request


class Live:
    """An ASGI application below ``PREFIX``: ``/live/calls`` is the page ``/calls``, live.

    It serves under the names of ``hosts`` alone: a page of another site must not get at it under its own. ``versions`` has,
    by endpoint, what a page shows in short: it is made anew when that has changed.
    """

    def __init__(self, app: Flask, hosts: Sequence[str], versions: Mapping[str, Version]) -> None:
        self._app = app
        self._hosts = hosts
        self._versions = versions
        self._watchers: Counter[str] = Counter()  # by page
        self._seen: dict[str, object] = {}
        self._made: dict[str, str] = {}
        self._news: asyncio.Event = asyncio.Event()  # a new one each time that something was made
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one watcher until it leaves."""
        refusal = await self._refusal(scope)
        if refusal is not None:
            await _answer(send, refusal)
            return
        page = _page_of(scope)
        self._watchers[page] += 1
        try:
            await self._serve(page, receive, send)
        finally:
            self._watchers -= Counter([page])
            if page not in self._watchers:
                self._made.pop(page, None)
                self._seen.pop(page, None)

    async def _refusal(self, scope: Scope) -> int | None:
        if scope["method"] != "GET":
            return 405
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if not host_is_trusted(host, self._hosts):
            return 400
        if self._watchers.total() >= MOST:
            return 503
        page = _page_of(scope)
        if page in self._made:
            return None
        try:
            found = await asyncio.to_thread(self._look_at, page)
        except HTTPException as error:
            return error.code or 404
        except DomainError:
            return 404
        except SQLAlchemyError:
            return 503
        self._keep({page: found} if found else {})
        return None

    async def _serve(self, page: str, receive: Receive, send: Send) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="live")
        gone = asyncio.create_task(_gone(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", b"text/event-stream; charset=utf-8"),
                        (b"cache-control", b"no-store"),
                        (b"x-content-type-options", b"nosniff"),
                        (b"x-accel-buffering", b"no"),
                    ],
                }
            )
            told = ""
            while not gone.done():
                news, made = self._news, self._made.get(page, "")
                if made != told:
                    told = made
                    await _say(send, _event(made))
                    continue
                waiting = asyncio.create_task(news.wait())
                await asyncio.wait({waiting, gone}, timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED)
                if waiting.cancel():
                    await _say(send, b":\n\n")
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()

    async def _run(self) -> None:
        """Look for news for as long as somebody watches."""
        loop = asyncio.get_running_loop()
        took = 0.0
        try:
            while self._watchers:
                await asyncio.sleep(max(LOOK_S, SHARE * took))
                began = loop.time()
                try:
                    self._keep(await asyncio.to_thread(self._look, list(self._watchers)))
                except SQLAlchemyError as error:  # the database is away: those who watch keep what they have
                    log.warning("live-pages-wait", error=type(error).__name__)
                took = loop.time() - began
        finally:
            self._task = None

    def _keep(self, found: Mapping[str, tuple[object, str]]) -> None:
        for page, (version, made) in found.items():
            self._seen[page] = version
            self._made[page] = made
        if found:
            self._news.set()
            self._news = asyncio.Event()

    def _look(self, pages: Iterable[str]) -> Mapping[str, tuple[object, str]]:
        """In a thread: the pages that have changed, made anew. Raises SQLAlchemyError."""
        found = {}
        for page in pages:
            # A call that has been pruned meanwhile will not change any more.
            with contextlib.suppress(DomainError, HTTPException):
                made = self._look_at(page)
                if made is not None:
                    found[page] = made
        return found

    def _look_at(self, page: str) -> tuple[object, str] | None:
        """What a page shows in short, and in full; None if that is known. Raises DomainError, HTTPException, SQLAlchemyError."""
        with self._app.test_request_context(page) as context:
            wanted = context.request
            if wanted.routing_exception is not None:
                raise wanted.routing_exception
            version_of = self._versions.get(wanted.endpoint or "")
            if version_of is None:
                raise NotFoundError(f"{page} is not a live page")
            version = version_of()
            if page in self._seen and self._seen[page] == version:
                return None
            view = self._app.ensure_sync(self._app.view_functions[wanted.endpoint or ""])
            return version, str(view(**(wanted.view_args or {})))


def _page_of(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    path = str(scope["path"]).removeprefix(PREFIX)
    return f"{path}?{query}" if query else path


def _event(text: str) -> bytes:
    return b"".join(b"data: %s\n" % line.encode() for line in text.splitlines()) + b"\n"


async def _say(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def lifespan(receive: Receive, send: Send) -> None:
    """The server's start and end (ASGI lifespan): nothing is to be done at either."""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
