"""The HTTP provider: one signed POST to an operator's pusher, one verdict, by the deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import aiohttp
from standardwebhooks.webhooks import Webhook

from control.domain.push import Outcome, PushNotice, PushToken, Verdict
from control.push import https, retry_after
from control.push.errors import UnansweredError
from control.push.http import request
from control.push.http.outcomes import OUTCOMES
from control.push.http.settings import PusherSettings
from control.push.port import Clock, Provider

ATTEMPT = 5.0  # seconds for one attempt; the dispatcher makes another while the deadline allows
CONNECTIONS = 100
IDLE = 60.0  # seconds that a connection is kept for the next call


class HttpProvider:
    """Pushes through one pusher of the operator's; ``name`` is its name in the settings and in ``pn-provider``."""

    def __init__(self, name: str, settings: PusherSettings, clock: Clock = time.time) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        self._secret: Webhook | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Read the secret. Raises PushCredentialsError."""
        settings, table = self._settings, f"push.http.{self.name}"
        self._secret = await asyncio.to_thread(
            request.read_secret, settings.secret_file, f"{table}.secret_file"
        )
        tls = https.tls_context(settings.ca_file, f"{table}.ca_file")
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE, ssl=tls)
        self._session = https.session(connector)

    async def close(self) -> None:
        """Close connections; pushes under way end with a ``retry`` verdict."""
        if self._session is not None:
            await self._session.close()

    def lane(self, token: PushToken) -> str:
        """One for all of a pusher's apps."""
        return ""

    async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
        """Send one push and wait for the answer, at most until the notice's deadline."""
        if self._secret is None or self._session is None:
            return Verdict(Outcome.RETRY, reason="not-started")
        now = self._clock()
        left = notice.deadline - now
        if left <= 0:
            return Verdict(Outcome.RETRY, reason="deadline-passed")
        text = request.body(token, notice)
        headers = request.headers(self._secret, token, notice, text, now)
        try:
            async with asyncio.timeout(min(left, ATTEMPT)):
                answer = await https.post(self._session, self._settings.url, text.encode(), headers)
        except TimeoutError:
            return Verdict(Outcome.RETRY, reason="timeout")
        except UnansweredError as error:
            return Verdict(Outcome.RETRY, reason=error.reason)
        return verdict(answer, headers["webhook-id"], self._clock())


def pushers(settings: Mapping[str, PusherSettings], clock: Clock = time.time) -> list[Provider]:
    """A provider for each table ``[push.http.<name>]``."""
    return [HttpProvider(name, table, clock) for name, table in settings.items()]


def verdict(answer: https.HttpAnswer, push_id: str, now: float) -> Verdict:
    """What a pusher's answer means; ``now`` is UNIX time in seconds."""
    outcome = OUTCOMES.outcome(answer.status, "")
    return Verdict(
        outcome,
        status=answer.status,
        provider_id=push_id if outcome is Outcome.DELIVERED else "",
        retry_after=retry_after.seconds(answer.retry_after, now) if outcome is Outcome.RETRY else None,
    )
