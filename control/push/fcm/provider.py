"""The FCM provider: one data message in, one verdict out, by the deadline."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import structlog

from control.domain.push import FCM, Outcome, PushNotice, PushToken, Verdict
from control.push import https, retry_after
from control.push.errors import NoAnswerError, PushCredentialsError
from control.push.fcm.access_token import TokenRefusedError, read_service_account
from control.push.fcm.message import error_code, message_id
from control.push.fcm.outcomes import ACCOUNT_REFUSED, ADVICE, NO_ACCOUNT_FOR_PROJECT, OUTCOMES
from control.push.fcm.project import BASE_URL, FcmProject
from control.push.fcm.settings import FcmSettings
from control.push.port import Clock
from control.push.provider_time import ProviderTime

ATTEMPT = 5.0  # seconds for one attempt; the dispatcher makes another while the deadline allows
CONNECT_AHEAD = 2.0  # seconds that ``start`` waits for the access tokens and the first connection
CONNECTIONS = 100  # HTTP/1.1: one push under way on each
IDLE = 230.0  # seconds; Google closes after 240
WARM_EVERY = 50.0  # seconds between the requests that keep one connection open

log = structlog.get_logger("push.fcm")


class FcmProvider:
    """Pushes to Android and browsers behind FCM, each app by the service account of its project."""

    name = FCM

    def __init__(self, settings: FcmSettings, clock: Clock = time.time) -> None:
        self._settings = settings
        self._clock = ProviderTime.of(clock)
        self._base_url = (settings.base_url or BASE_URL).rstrip("/")
        self._projects: list[FcmProject] = []
        self._session: aiohttp.ClientSession | None = None
        self._warmer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the accounts, fetch tokens, connect. Raises PushCredentialsError; no error when FCM is down."""
        settings = self._settings
        accounts = [
            await asyncio.to_thread(read_service_account, each.service_account_file)
            for each in settings.accounts
        ]
        ids = [account.project_id for account in accounts]
        if twice := {each for each in ids if ids.count(each) > 1}:
            raise PushCredentialsError(f"push.fcm.accounts: two files are of the same project {min(twice)}")
        tls = https.tls_context(settings.ca_file, "push.fcm.ca_file")
        session = self._session = https.session(
            aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE, ssl=tls, ttl_dns_cache=300)
        )
        self._projects = [
            FcmProject(named, account, settings, session, self._clock)
            for named, account in zip(settings.accounts, accounts, strict=True)
        ]
        first_tokens = [project.start() for project in self._projects]
        first_connection = asyncio.get_running_loop().create_task(self._touch(session))
        self._warmer = asyncio.get_running_loop().create_task(self._keep_warm(session))
        await asyncio.wait([*first_tokens, first_connection], timeout=CONNECT_AHEAD)

    async def close(self) -> None:
        """Close connections; pushes under way end with a ``retry`` verdict."""
        if self._warmer is not None:
            self._warmer.cancel()
            await asyncio.wait([self._warmer])
        for project in self._projects:
            await project.close()
        if self._session is not None:
            await self._session.close()

    def lane(self, token: PushToken) -> str:
        """One for each project: one whose account Google does not answer for delays no other."""
        project = self._project(token)
        return "" if project is None else project.id

    async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
        """Send one message and wait for the answer, at most until the notice's deadline."""
        left = notice.deadline - self._clock()
        if left <= 0:
            return Verdict(Outcome.RETRY, reason="deadline-passed")
        if not self._projects:
            return Verdict(Outcome.RETRY, reason="not-started")
        project = self._project(token)
        if project is None:
            return _misconfigured(NO_ACCOUNT_FOR_PROJECT)
        try:
            async with asyncio.timeout(min(left, ATTEMPT)):
                answer = await project.send(token.token, notice)
        except TimeoutError:
            return Verdict(Outcome.RETRY, reason="timeout")
        except TokenRefusedError:
            return _misconfigured(ACCOUNT_REFUSED)
        except NoAnswerError as error:
            return Verdict(Outcome.RETRY, reason=error.reason)
        return verdict(answer, self._clock.theirs())

    def _project(self, token: PushToken) -> FcmProject | None:
        return next((project for project in self._projects if project.serves(token.app)), None)

    async def _touch(self, session: aiohttp.ClientSession) -> None:
        """Have a connection open: any answer will do."""
        try:
            async with (
                asyncio.timeout(ATTEMPT),
                session.get(self._base_url, allow_redirects=False) as response,
            ):
                await response.read()
                self._clock.heard(response.headers.get("Date"))
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("fcm.connect-failed", url=self._base_url, why=str(error) or "timeout")

    async def _keep_warm(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(WARM_EVERY)
            await self._touch(session)


def _misconfigured(reason: str) -> Verdict:
    return Verdict(Outcome.MISCONFIGURED, reason=reason, advice=ADVICE[reason])


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
        advice=ADVICE.get(reason, "") if outcome is Outcome.MISCONFIGURED else "",
    )
