"""The APNs provider: one push in, one verdict out, by the deadline."""

from __future__ import annotations

import asyncio
import time

from control.domain.push import APNS, SANDBOX, Outcome, PushNotice, PushToken, Verdict
from control.push import retry_after
from control.push.apns.outcomes import OUTCOMES
from control.push.apns.pool import ApnsPool, tls_context
from control.push.apns.provider_token import ProviderToken, read_key
from control.push.apns.request import MAX_BODY, ApnsAnswer, ApnsRequest, is_device_token, style
from control.push.apns.settings import ApnsSettings
from control.push.errors import NoAnswerError, PushCredentialsError
from control.push.port import Clock

PRODUCTION_HOST = "api.push.apple.com"
SANDBOX_HOST = "api.sandbox.push.apple.com"
ATTEMPT = 5.0  # seconds for one attempt; the dispatcher makes another while the deadline allows
CONNECT_AHEAD = 2.0  # seconds that ``start`` waits for the first connection

EXPIRED_PROVIDER_TOKEN = ("403", "ExpiredProviderToken")


class ApnsProvider:
    """Pushes to iPhones. One signing key, a pool of connections per environment, kept open."""

    name = APNS

    def __init__(self, settings: ApnsSettings, clock: Clock = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._token: ProviderToken | None = None
        self._production: ApnsPool | None = None
        self._sandbox: ApnsPool | None = None

    async def start(self) -> None:
        """Read the key and connect ahead. Raises PushCredentialsError; a host that is down is no error."""
        settings = self._settings
        key = await asyncio.to_thread(read_key, settings.key_file)
        self._token = ProviderToken(key, settings.key_id, settings.team_id, self._clock)
        self._token.get_header()
        try:
            tls = tls_context(str(settings.ca_file) if settings.ca_file else None)
        except OSError as error:
            raise PushCredentialsError(f"push.apns.ca_file {settings.ca_file}: {error}") from None
        self._production = ApnsPool(settings.server or PRODUCTION_HOST, settings.port, tls)
        self._sandbox = self._production if settings.server else ApnsPool(SANDBOX_HOST, settings.port, tls)
        await asyncio.wait([pool.start() for pool in self._pools()], timeout=CONNECT_AHEAD)

    async def close(self) -> None:
        """Close connections; pushes under way end with a ``retry`` verdict."""
        await asyncio.gather(*(pool.stop() for pool in self._pools()))

    def lane(self, token: PushToken) -> str:
        """One for all: Apple is reachable or it is not."""
        return ""

    async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
        """Send one push and wait for the answer, at most until the notice's deadline."""
        how = style(token.kind, notice.purpose)
        if how is None:
            return Verdict(Outcome.REJECTED, reason="purpose-unsupported")
        if not is_device_token(token.token):
            return Verdict(Outcome.REJECTED, reason="malformed-token")
        left = notice.deadline - self._clock()
        if left <= 0:
            return Verdict(Outcome.RETRY, reason="deadline-passed")
        request = ApnsRequest(token, notice, how)
        if len(request.body) > MAX_BODY:
            return Verdict(Outcome.REJECTED, reason="payload-too-large")
        try:
            async with asyncio.timeout(min(left, ATTEMPT)):
                answer = await self._send(token, request)
        except TimeoutError:
            return Verdict(Outcome.RETRY, reason="timeout", provider_id=request.notification_id)
        except NoAnswerError as error:
            return Verdict(Outcome.RETRY, reason=error.reason, provider_id=request.notification_id)
        return verdict(answer, self._clock())

    async def _send(self, token: PushToken, request: ApnsRequest) -> ApnsAnswer:
        pool = self._sandbox if token.environment == SANDBOX else self._production
        if pool is None or self._token is None:
            raise NoAnswerError("not-started")
        request.authorization = self._token.get_header()
        answer = await pool.send_notification(request)
        if (answer.status, answer.description) == EXPIRED_PROVIDER_TOKEN and self._token.replace(
            request.authorization
        ):
            request.authorization = self._token.get_header()
            answer = await pool.send_notification(request)
        return answer

    @property
    def connected(self) -> int:
        """How many connections can take pushes now, of all environments."""
        return sum(pool.connected for pool in self._pools())

    def _pools(self) -> list[ApnsPool]:
        both = [pool for pool in (self._production, self._sandbox) if pool is not None]
        return list(dict.fromkeys(both))


def verdict(answer: ApnsAnswer, now: float) -> Verdict:
    """What an answer of APNs means; ``now`` is UNIX time in seconds."""
    status = int(answer.status) if answer.status.isdigit() else 0
    reason = answer.description or ""
    outcome = OUTCOMES.outcome(status, reason)
    return Verdict(
        outcome,
        status=status,
        reason=reason,
        provider_id=answer.notification_id,
        retry_after=retry_after.seconds(answer.retry_after, now) if outcome is Outcome.RETRY else None,
        unregistered_at=answer.timestamp / 1000 if answer.timestamp is not None else None,
    )
