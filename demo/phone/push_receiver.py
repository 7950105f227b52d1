"""The operating system's push service on the sleeping phone: listens at the provider sandbox and wakes the app."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import quote

import aiohttp

from demo.phone.changes import Changes
from demo.phone.errors import PhoneError
from demo.phone.phone import Phone

_log = logging.getLogger(__name__)
_RECONNECT_AFTER = 0.2  # seconds


@dataclass(frozen=True)
class Delivery:
    """One push as the device got it; ``received_at`` is UNIX time in seconds, ``body`` the JSON of the sandbox."""

    received_at: float
    body: dict[str, Any] = field(repr=False)


class PushReceiver:
    """Wakes ``phone`` with each push delivered to ``token``, registering ``registers`` times as some apps do.

    Its own connection is the system's, not the app's: the phone stays without a socket. An awake phone registers anew.
    A browser's and Android's pushes are shown as they say: ``showing`` are the calls that it has a notification of.
    """

    def __init__(
        self, control_url: str, token: str, phone: Phone, *, registers: int = 1, wake_after: float = 0.0
    ) -> None:
        self.deliveries: list[Delivery] = []
        self.showing: list[str] = []
        self.registers, self.wake_after = registers, wake_after
        self._url = f"{control_url.rstrip('/')}/deliveries/{quote(token, safe='')}"
        self._phone = phone
        self._changes = Changes()
        self._connected = False
        self._failure = ""
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._wakes: set[asyncio.Task[None]] = set()

    async def start(self, timeout: float = 5.0) -> None:
        """Listen; returns once the sandbox has accepted, so that no later push is missed. Raises StillWaitingError."""
        self._task = asyncio.create_task(self._listen())
        try:
            await self._until(lambda: self._connected, timeout, "push service connected")
        except PhoneError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening; a wake that is under way is given up."""
        tasks = [task for task in (self._task, *self._wakes) if task is not None]
        self._task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def delivered(self, count: int = 1, timeout: float = 10.0) -> Delivery:
        """Wait for the ``count``-th push since the start and return it; raises StillWaitingError."""
        await self._until(lambda: len(self.deliveries) >= count, timeout, f"push number {count}")
        return self.deliveries[count - 1]

    async def cleared(self, timeout: float = 10.0) -> None:
        """Wait until no notification of a call is shown any more; raises StillWaitingError."""
        await self._until(lambda: not self.showing, timeout, "no call is shown")

    async def __aenter__(self) -> PushReceiver:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        label = f"{self._phone.account.user}: {what} {self._failure}".rstrip()
        await self._changes.until(condition, timeout, label)

    async def _listen(self) -> None:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5)
        ) as session:
            while True:
                try:
                    async with session.get(self._url) as response:
                        response.raise_for_status()
                        self._set_connected(True)
                        async for line in response.content:
                            self._deliver(line)
                except (aiohttp.ClientError, OSError) as error:
                    self._failure = f"({error})"
                self._set_connected(False)
                await asyncio.sleep(_RECONNECT_AFTER)

    def _set_connected(self, connected: bool) -> None:
        self._connected = connected
        self._changes.notify()

    def _deliver(self, line: bytes) -> None:
        if not line.strip():
            return  # a heartbeat
        delivery = Delivery(time.time(), json.loads(line))
        self.deliveries.append(delivery)
        self._changes.notify()
        if self._clears(delivery.body.get("payload") or {}):
            return
        wake = asyncio.create_task(self._wake())
        self._wakes.add(wake)
        wake.add_done_callback(self._wakes.discard)

    def _clears(self, payload: dict[str, Any]) -> bool:
        """What a browser's service worker does, or an app on Android: show a call, and clear it when it is over.

        Whether it was cleared.
        """
        call = str(payload.get("call", payload.get("nightbell_call", "")))
        match payload.get("type", payload.get("nightbell_type")):
            case "call":
                self.showing.append(call)
            case "over":
                self.showing = [shown for shown in self.showing if shown != call]
                self._changes.notify()
                return True
        return False

    async def _wake(self) -> None:
        await asyncio.sleep(self.wake_after)
        try:
            async with self._one_at_a_time:
                await self._start_and_register()
        except PhoneError as error:
            _log.warning("%r could not wake: %s", self._phone, error)

    async def _start_and_register(self) -> None:
        if not self._phone.awake:
            await self._phone.start()
        for _ in range(self.registers):
            reply = await self._phone.register()
            if reply.status != 200:
                _log.warning("%r: REGISTER after a push was answered %r", self._phone, reply)
