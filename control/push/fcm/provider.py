"""The FCM provider: one data message in, one verdict out, by the deadline."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import structlog

from control.domain.push import FCM, Outcome, PushNotice, PushToken, Verdict
from control.push import https, retry_after
from control.push.errors import NoAnswerError
from control.push.fcm.access_token import AccessToken, TokenRefusedError, read_service_account
from control.push.fcm.message import error_code, message, message_id
from control.push.fcm.outcomes import OUTCOMES
from control.push.fcm.settings import FcmSettings
from control.push.port import Clock

BASE_URL = "https://fcm.googleapis.com"
ATTEMPT = 5.0  # seconds for one attempt; the dispatcher makes another while the deadline allows
CONNECT_AHEAD = 2.0  # seconds that ``start`` waits for the access token and the first connection
CONNECTIONS = 100  # HTTP/1.1: one push under way on each
IDLE = 230.0  # seconds; Google closes after 240
WARM_EVERY = 50.0  # seconds between the requests that keep one connection open

log = structlog.get_logger("push.fcm")


class FcmProvider:
    """Pushes to Android and browsers behind FCM. The project is the service account's."""

    name = FCM

    def __init__(self, settings: FcmSettings, clock: Clock = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._base_url = (settings.base_url or BASE_URL).rstrip("/")
        self._url = ""
        self._token: AccessToken | None = None
        self._session: aiohttp.ClientSession | None = None
        self._warmer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the account, fetch a token, connect. Raises PushCredentialsError; no error when FCM is down."""
        account = await asyncio.to_thread(read_service_account, self._settings.service_account_file)
        ca_file = self._settings.ca_file
        tls = https.tls_context(ca_file, "push.fcm.ca_file")
        self._url = f"{self._base_url}/v1/projects/{account.project_id}/messages:send"
        self._session = https.session(
            aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE, ssl=tls, ttl_dns_cache=300)
        )
        self._token = AccessToken(account, self._clock, ca_file)
        first_token = self._token.start()
        first_connection = asyncio.get_running_loop().create_task(self._touch(self._session))
        self._warmer = asyncio.get_running_loop().create_task(self._keep_warm(self._session))
        await asyncio.wait([first_token, first_connection], timeout=CONNECT_AHEAD)

    async def close(self) -> None:
        """Close connections; pushes under way end with a ``retry`` verdict."""
        if self._warmer is not None:
            self._warmer.cancel()
            await asyncio.wait([self._warmer])
        if self._token is not None:
            await self._token.close()
        if self._session is not None:
            await self._session.close()

    def lane(self, token: PushToken) -> str:
        """One for all: Google is reachable or it is not."""
        return ""

    async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
        """Send one message and wait for the answer, at most until the notice's deadline."""
        left = notice.deadline - self._clock()
        if left <= 0:
            return Verdict(Outcome.RETRY, reason="deadline-passed")
        try:
            async with asyncio.timeout(min(left, ATTEMPT)):
                answer = await self._send(token, notice)
        except TimeoutError:
            return Verdict(Outcome.RETRY, reason="timeout")
        except TokenRefusedError:
            return Verdict(Outcome.MISCONFIGURED, reason="service-account-refused")
        except NoAnswerError as error:
            return Verdict(Outcome.RETRY, reason=error.reason)
        return verdict(answer, self._clock())

    async def _send(self, token: PushToken, notice: PushNotice) -> https.HttpAnswer:
        if self._token is None or self._session is None:
            raise NoAnswerError("not-started")
        access = await self._token.get()
        answer = await self._post(self._session, access, token, notice)
        if answer.status == 401 and error_code(answer.body) != "THIRD_PARTY_AUTH_ERROR":
            access = await self._token.replace(access)
            answer = await self._post(self._session, access, token, notice)
        return answer

    async def _post(
        self, session: aiohttp.ClientSession, access: str, token: PushToken, notice: PushNotice
    ) -> https.HttpAnswer:
        body = json.dumps(message(token.token, notice, self._clock()), separators=(",", ":"))
        headers = {"Authorization": f"Bearer {access}", "Content-Type": "application/json"}
        return await https.post(session, self._url, body.encode(), headers)

    async def _touch(self, session: aiohttp.ClientSession) -> None:
        """Have a connection open: any answer will do."""
        try:
            async with (
                asyncio.timeout(ATTEMPT),
                session.get(self._base_url, allow_redirects=False) as response,
            ):
                await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("fcm.connect-failed", url=self._base_url, why=str(error) or "timeout")

    async def _keep_warm(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(WARM_EVERY)
            await self._touch(session)


def verdict(answer: https.HttpAnswer, now: float) -> Verdict:
    """What an answer of FCM means; ``now`` is UNIX time in seconds."""
    delivered = 200 <= answer.status <= 299
    reason = "" if delivered else error_code(answer.body)
    outcome = OUTCOMES.outcome(answer.status, reason)
    return Verdict(
        outcome,
        status=answer.status,
        reason=reason,
        provider_id=message_id(answer.body) if delivered else "",
        retry_after=retry_after.seconds(answer.retry_after, now) if outcome is Outcome.RETRY else None,
    )
