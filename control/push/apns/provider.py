"""The APNs provider: one push in, one verdict out, by the deadline."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from control.domain.push import APNS, Outcome, PushNotice, PushToken, Verdict
from control.push import retry_after
from control.push.apns.outcomes import ADVICE, BAD_DEVICE_TOKEN, NO_KEY_FOR_TOPIC, OUTCOMES
from control.push.apns.pool import tls_context
from control.push.apns.provider_token import ProviderToken, read_key
from control.push.apns.request import MAX_BODY, ApnsAnswer, ApnsRequest, bundle, is_device_token, style
from control.push.apns.settings import ApnsKey, ApnsSettings, key_for
from control.push.apns.team import ApnsTeam
from control.push.errors import NoAnswerError, PushCredentialsError
from control.push.port import Clock
from control.push.provider_time import ProviderTime

ATTEMPT = 5.0  # seconds for one attempt; the dispatcher makes another while the deadline allows
CONNECT_AHEAD = 2.0  # seconds that ``start`` waits for the first connections


class ApnsProvider:
    """Pushes to iPhones. For each signing key its own connections, in each environment, kept open."""

    name = APNS

    def __init__(self, settings: ApnsSettings, clock: Clock = time.time) -> None:
        self._settings = settings
        self._clock = ProviderTime.of(clock)
        self._teams: dict[ApnsKey, ApnsTeam] = {}

    async def start(self) -> None:
        """Read the keys and connect ahead. Raises PushCredentialsError; a host that is down is no error."""
        settings = self._settings
        keys = [await asyncio.to_thread(read_key, key.key_file) for key in settings.keys]
        try:
            tls = tls_context(str(settings.ca_file) if settings.ca_file else None)
        except OSError as error:
            raise PushCredentialsError(f"push.apns.ca_file {settings.ca_file}: {error}") from None
        for named, key in zip(settings.keys, keys, strict=True):
            token = ProviderToken(key, named.key_id, named.team_id, self._clock.theirs)
            self._teams[named] = ApnsTeam(token, self._clock, settings, tls)
        connecting = [task for team in self._teams.values() for task in team.start()]
        await asyncio.wait(connecting, timeout=CONNECT_AHEAD)

    async def close(self) -> None:
        """Close connections; pushes under way end with a ``retry`` verdict."""
        await asyncio.gather(*(team.stop() for team in self._teams.values()))

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
        key = key_for(self._settings.keys, bundle(token))
        if key is None:
            return Verdict(Outcome.MISCONFIGURED, reason=NO_KEY_FOR_TOPIC, advice=ADVICE[NO_KEY_FOR_TOPIC])
        request = ApnsRequest(token, notice, how)
        if len(request.body) > MAX_BODY:
            return Verdict(Outcome.REJECTED, reason="payload-too-large")
        try:
            async with asyncio.timeout(min(left, ATTEMPT)):
                return await self._send(self._teams.get(key), request, token.environment)
        except TimeoutError:
            return Verdict(Outcome.RETRY, reason="timeout", provider_id=request.notification_id)
        except NoAnswerError as error:
            return Verdict(Outcome.RETRY, reason=error.reason, provider_id=request.notification_id)

    async def _send(self, team: ApnsTeam | None, request: ApnsRequest, environment: str) -> Verdict:
        """To the token's environment; where it is unknown, once to the other: builds are often mistaken for the other kind."""
        if team is None:
            raise NoAnswerError("not-started")
        first = self._verdict(await team.send(request, environment))
        if first.reason != BAD_DEVICE_TOKEN:
            return first
        other = team.other(environment)
        if not other:
            return replace(first, quarantine=True)
        second = self._verdict(await team.send(request, other))
        if second.reason == BAD_DEVICE_TOKEN:
            return replace(second, quarantine=True)
        if second.outcome in (Outcome.DELIVERED, Outcome.TOKEN_DEAD):
            return replace(second, environment=other)
        # The key is not good for that environment, for instance: it has not said that it does not know the token.
        return second if second.outcome is Outcome.RETRY else first

    def _verdict(self, answer: ApnsAnswer) -> Verdict:
        return verdict(answer, self._clock.theirs(), self._clock.ahead)

    @property
    def connected(self) -> int:
        """How many connections can take pushes now, of all keys and environments."""
        return sum(team.connected for team in self._teams.values())


def verdict(answer: ApnsAnswer, now: float, ahead: float = 0.0) -> Verdict:
    """What an answer of APNs means; ``now`` is UNIX time in seconds, as Apple has it: so far ahead of our clock."""
    status = int(answer.status) if answer.status.isdigit() else 0
    reason = answer.description or ""
    outcome = OUTCOMES.outcome(status, reason)
    return Verdict(
        outcome,
        status=status,
        reason=reason,
        provider_id=answer.notification_id,
        retry_after=retry_after.seconds(answer.retry_after, now) if outcome is Outcome.RETRY else None,
        unregistered_at=answer.timestamp / 1000 - ahead if answer.timestamp is not None else None,
        advice=ADVICE.get(reason, "") if outcome is Outcome.MISCONFIGURED else "",
    )
