"""What belongs to one team's key: its provider token, and connections that no other key is used on.

Apple refuses a second key on a connection (UnrelatedKeyIdInToken).
"""

from __future__ import annotations

import asyncio
import ssl

from control.domain.push import PRODUCTION, SANDBOX
from control.push.apns.pool import ApnsPool
from control.push.apns.provider_token import ProviderToken
from control.push.apns.request import ApnsAnswer, ApnsRequest
from control.push.apns.settings import ApnsSettings
from control.push.provider_time import ProviderTime

PRODUCTION_HOST = "api.push.apple.com"
SANDBOX_HOST = "api.sandbox.push.apple.com"

EXPIRED = "ExpiredProviderToken"
OF_THE_CLOCK = {("403", EXPIRED), ("403", "InvalidProviderToken")}  # it may be: Apple says no more


class ApnsTeam:
    """Sends what one key signs for, in both environments."""

    def __init__(
        self, token: ProviderToken, time: ProviderTime, settings: ApnsSettings, tls: ssl.SSLContext
    ) -> None:
        self._token = token
        self._time = time
        production = ApnsPool(settings.server or PRODUCTION_HOST, settings.port, tls)
        if settings.sandbox_server:
            sandbox = ApnsPool(settings.sandbox_server, settings.sandbox_port, tls)
        elif settings.server:
            sandbox = production
        else:
            sandbox = ApnsPool(SANDBOX_HOST, settings.port, tls)
        self._pools = {PRODUCTION: production, SANDBOX: sandbox}

    def start(self) -> list[asyncio.Task[None]]:
        """Connect; the tasks end with the first attempts, well or not."""
        self._token.get_header()
        return [pool.start() for pool in self._each()]

    async def stop(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(pool.stop() for pool in self._each()))

    @property
    def connected(self) -> int:
        """How many connections can take pushes now."""
        return sum(pool.connected for pool in self._each())

    def other(self, environment: str) -> str:
        """The other environment; empty if both are one server."""
        environment = _known(environment)
        other = PRODUCTION if environment == SANDBOX else SANDBOX
        return "" if self._pools[other] is self._pools[environment] else other

    async def send(self, request: ApnsRequest, environment: str) -> ApnsAnswer:
        """Send and wait for the answer; once more if only the provider token's time was wrong. Raises NoAnswerError."""
        pool = self._pools[_known(environment)]
        answer = await pool.send_notification(self._signed(request))
        if (answer.status, answer.description) in OF_THE_CLOCK and self._has_another(
            answer, request.authorization
        ):
            answer = await pool.send_notification(self._signed(request))
        return answer

    def _signed(self, request: ApnsRequest) -> ApnsRequest:
        request.authorization = self._token.get_header()
        request.expiration = int(request.deadline + self._time.ahead)
        return request

    def _has_another(self, answer: ApnsAnswer, refused: str) -> bool:
        """Whether the provider token would be another one now: by Apple's clock, by ours, or as the refused one was old."""
        if answer.date:
            self._time.heard(answer.date)
        else:
            self._time.forget()
        return self._token.get_header() != refused or (
            answer.description == EXPIRED and self._token.replace(refused)
        )

    def _each(self) -> list[ApnsPool]:
        return list(dict.fromkeys(self._pools.values()))


def _known(environment: str) -> str:
    return SANDBOX if environment == SANDBOX else PRODUCTION
