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

PRODUCTION_HOST = "api.push.apple.com"
SANDBOX_HOST = "api.sandbox.push.apple.com"

EXPIRED_PROVIDER_TOKEN = ("403", "ExpiredProviderToken")


class ApnsTeam:
    """Sends what one key signs for, in both environments."""

    def __init__(self, token: ProviderToken, settings: ApnsSettings, tls: ssl.SSLContext) -> None:
        self._token = token
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
        """Send and wait for the answer; once more if only the provider token was too old. Raises NoAnswerError."""
        pool = self._pools[_known(environment)]
        request.authorization = self._token.get_header()
        answer = await pool.send_notification(request)
        if (answer.status, answer.description) == EXPIRED_PROVIDER_TOKEN and self._token.replace(
            request.authorization
        ):
            request.authorization = self._token.get_header()
            answer = await pool.send_notification(request)
        return answer

    def _each(self) -> list[ApnsPool]:
        return list(dict.fromkeys(self._pools.values()))


def _known(environment: str) -> str:
    return SANDBOX if environment == SANDBOX else PRODUCTION
