"""The operating system under a stranger's app: starts it when a push for its token is delivered."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Protocol

import aiohttp

from demo.stack import Stack


class App(Protocol):
    """What can be started."""

    async def start(self) -> None:
        """Start it; it registers at once."""


class StartedByPush:
    """Starts the app with the first push for its token."""

    def __init__(self, stack: Stack, token: str, app: App) -> None:
        self._url = f"{stack.sandbox.control_url}/deliveries/{token}"
        self._app = app
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> StartedByPush:
        self._task = asyncio.create_task(self._listen())
        await asyncio.wait_for(self._listening.wait(), timeout=5.0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        async with aiohttp.ClientSession() as session, session.get(self._url) as response:
            response.raise_for_status()
            self._listening.set()
            async for line in response.content:
                if line.strip():
                    await self._app.start()
                    return
