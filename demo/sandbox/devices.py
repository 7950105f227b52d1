"""The phones of the sandbox: tokens issued to installed apps, and the way pushes reach them."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from weakref import WeakSet

from demo.sandbox.errors import BadOrderError, UnknownProviderError, UnknownTokenError
from demo.sandbox.pushes import Push

PROVIDERS = ("apns", "fcm", "webpush")
# What a provider keeps for a phone that is off: APNs one notification an app, FCM up to a hundred messages, and
# browsers' services as much. developer.apple.com "Sending notification requests to APNs"; firebase.google.com
# "Lifetime of a message".
KEPT_FOR_ABSENT = {"apns": 1, "fcm": 100, "webpush": 100}


class Deliveries:
    """The pushes that reach one app from now on; an async iterator that ends when closed.

    It listens from the moment it is made. What arrived for the absent phone and is still valid comes first.
    """

    def __init__(self, waiting: list[Push]) -> None:
        self._queue: asyncio.Queue[Push | None] = asyncio.Queue()
        self._left = asyncio.Event()
        for push in waiting:
            self._queue.put_nowait(push)

    def put(self, push: Push) -> None:
        """Hand over one push."""
        self._queue.put_nowait(push)

    def close(self) -> None:
        """End the iteration after what is already there."""
        if not self.closed:
            self._left.set()
            self._queue.put_nowait(None)

    @property
    def closed(self) -> bool:
        """Whether this listener has left."""
        return self._left.is_set()

    async def wait_closed(self) -> None:
        """Return once this listener has left."""
        await self._left.wait()

    def __aiter__(self) -> Deliveries:
        return self

    async def __anext__(self) -> Push:
        if self.closed and self._queue.empty():
            raise StopAsyncIteration
        push = await self._queue.get()
        if push is None:
            raise StopAsyncIteration
        return push

    def __enter__(self) -> Deliveries:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(eq=False)
class Installation:
    """One app on one phone, known to its provider by a token; for a browser ``topic`` is the key it subscribed with."""

    provider: str
    topic: str
    token: str
    removed_at: float | None = None
    waiting: deque[Push] = field(default_factory=deque)
    listeners: WeakSet[Deliveries] = field(default_factory=WeakSet)


class Devices:
    """All installations, by token."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_token: dict[str, Installation] = {}

    def install(self, provider: str, topic: str, subscription: str = "") -> str:
        """Install an app on a new phone: its device token, which for a browser is its ``subscription``."""
        if provider not in PROVIDERS:
            raise UnknownProviderError(provider)
        if not topic:
            raise BadOrderError(
                "an app has a name: give topic, an APNs topic, an Android package or a page's VAPID public key"
            )
        token = subscription or (secrets.token_hex(32) if provider == "apns" else _fcm_token())
        kept = deque[Push](maxlen=KEPT_FOR_ABSENT[provider])
        self._by_token[token] = Installation(provider, topic, token, waiting=kept)
        return token

    def uninstall(self, token: str) -> None:
        """Remove the app; its token is answered Unregistered (410) or UNREGISTERED (404) from now on."""
        self.get(token).removed_at = self._clock()

    def find(self, provider: str, token: str) -> Installation | None:
        """The installation a provider knows by that token, removed ones included."""
        found = self._by_token.get(token)
        return found if found and found.provider == provider else None

    def get(self, token: str) -> Installation:
        """The installation with that token; raises UnknownTokenError."""
        if token not in self._by_token:
            raise UnknownTokenError(token)
        return self._by_token[token]

    def deliver(self, push: Push) -> None:
        """Bring an accepted push to its phone, or keep it until it expires when the phone is away."""
        installation = self._by_token.get(push.token)
        if installation is None:
            return
        present = [listener for listener in installation.listeners if not listener.closed]
        for listener in present:
            listener.put(push)
        if not present and push.expires_at > self._clock():
            for old in [
                old for old in installation.waiting if push.collapse and old.collapse == push.collapse
            ]:
                installation.waiting.remove(old)
            installation.waiting.append(push)

    def deliveries(self, token: str) -> Deliveries:
        """Listen as the phone of ``token`` does; raises UnknownTokenError."""
        installation = self.get(token)
        now = self._clock()
        listener = Deliveries([push for push in installation.waiting if push.expires_at > now])
        installation.waiting.clear()
        installation.listeners.add(listener)
        return listener

    def close(self) -> None:
        """Hang up on every phone that listens; the installations stay."""
        for installation in self._by_token.values():
            for listener in list(installation.listeners):
                listener.close()


def _fcm_token() -> str:
    # The shape of a real one: an instance id of 22 characters, a colon, and the registration itself.
    return f"{secrets.token_urlsafe(16)}:APA91b{secrets.token_urlsafe(100)}"
