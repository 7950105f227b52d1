"""From a wake to a verdict: the one door to the providers. Deadlines, not retry counts."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from control.domain.push import Outcome, PushNotice, PushToken, PushTrouble, Verdict
from control.push.breaker import Breaker
from control.push.misconfigured import Misconfigured
from control.push.port import Clock, Provider

CONCURRENCY = 500  # pushes under way at one provider
QUEUE = 5000  # pushes waiting for their turn at one provider; more are refused at once
LANES = 10_000  # lanes remembered; of more, those are forgotten where nothing is under way
SHOWN = 10  # servers that do not answer, at most, of one provider
FIRST_PAUSE = 0.05  # seconds before the second attempt, doubling …
LAST_PAUSE = 2.0  # … up to this
LONGEST = 120.0  # seconds; no wake is longer, whatever its deadline says

log = structlog.get_logger("push.dispatcher")


@dataclass
class _Lane:
    """What is one provider's alone (or one of its servers': see ``Provider.lane``), so that none delays another."""

    provider: Provider
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENCY))
    breaker: Breaker = field(default_factory=Breaker)
    gate: asyncio.Lock = field(
        default_factory=asyncio.Lock
    )  # one alone waits for the next probe, the others for it
    inside: int = 0


class Dispatcher:
    """Sends pushes, each until its deadline at most. ``counters`` counts (provider, outcome, reason).

    ``trouble`` is told of an app whose pushes fail by our own fault, and when that is over.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        clock: Clock = time.time,
        *,
        trouble: Callable[[PushTrouble], None] = lambda _: None,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._clock = clock
        self._misconfigured = Misconfigured(trouble)
        self.counters: Counter[tuple[str, str, str]] = Counter()

    async def start(self) -> None:
        """Start every provider, side by side. Raises PushCredentialsError when a key cannot be used."""
        await asyncio.gather(*(provider.start() for provider in self._providers.values()))

    async def close(self) -> None:
        """Close every provider."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))

    def inside(self, provider: str) -> int:
        """Pushes under way or waiting at one provider."""
        return sum(lane.inside for (name, _), lane in self._lanes.items() if name == provider)

    async def dispatch(self, token: PushToken, notice: PushNotice) -> Verdict:
        """Push until the provider has answered for good or the deadline has come. Raises only CancelledError.

        ``retry`` means: no answer that counts came in time; it may come before the deadline when the provider
        asks for a longer pause than is left.
        """
        lane = self._lane(token)
        if lane is None:
            advice = f"Devices bring tokens of {token.provider}: give the settings a table for it, or the apps another"
            verdict = Verdict(Outcome.MISCONFIGURED, reason="provider-not-set-up", advice=advice)
        elif lane.inside >= CONCURRENCY + QUEUE:
            verdict = Verdict(Outcome.RETRY, reason="overloaded")
        else:
            lane.inside += 1
            try:
                verdict = await self._within_deadline(lane, token, notice)
            finally:
                lane.inside -= 1
        self.counters[token.provider, verdict.outcome.value, verdict.reason] += 1
        self._misconfigured.note(token, verdict, self._clock())
        return verdict

    def state(self) -> Mapping[str, Mapping[str, object]]:
        """How each provider stands, fit for JSON: pushes under way, and which of its servers do not answer."""
        return {
            name: {
                "under_way": self.inside(name),
                "silent": sorted(
                    server or name
                    for (provider, server), lane in self._lanes.items()
                    if provider == name and lane.breaker.is_open
                )[:SHOWN],
            }
            for name in self._providers
        }

    def _lane(self, token: PushToken) -> _Lane | None:
        provider = self._providers.get(token.provider)
        if provider is None:
            return None
        key = (provider.name, provider.lane(token))
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= LANES:
                self._lanes = {known: lane for known, lane in self._lanes.items() if lane.inside}
            lane = self._lanes[key] = _Lane(provider)
        return lane

    async def _within_deadline(self, lane: _Lane, token: PushToken, notice: PushNotice) -> Verdict:
        left = notice.deadline - self._clock()
        if not left > 0:
            return Verdict(Outcome.RETRY, reason="deadline-passed")
        last = [Verdict(Outcome.RETRY, reason="timeout")]
        try:
            async with asyncio.timeout(min(left, LONGEST)):
                return await self._until_answered(lane, token, notice, last)
        except TimeoutError:
            return last[0]

    async def _until_answered(
        self, lane: _Lane, token: PushToken, notice: PushNotice, last: list[Verdict]
    ) -> Verdict:
        """Attempt after attempt; the latest verdict is left in ``last`` for when the deadline cuts in."""
        pause = FIRST_PAUSE
        while True:
            async with lane.slots:
                if lane.breaker.is_open:
                    await self._turn(lane)
                verdict = await self._attempt(lane, token, notice)
            last[0] = verdict
            if verdict.outcome is not Outcome.RETRY or verdict.reason == "internal-error":
                return verdict
            rest = verdict.retry_after
            if rest is None:
                rest = pause * random.uniform(0.5, 1.0)  # noqa: S311  spreads retries, keeps no secret
                pause = min(2 * pause, LAST_PAUSE)
            if self._clock() + rest >= notice.deadline:
                return verdict
            await asyncio.sleep(rest)

    async def _turn(self, lane: _Lane) -> None:
        """Wait until this push may ask a provider that does not answer. Thousands that looked at the clock themselves, once a
        second and all at once, would hold up the other providers.
        """
        async with lane.gate:
            wait = lane.breaker.wait(self._clock())
            while wait > 0:
                await asyncio.sleep(wait)
                wait = lane.breaker.wait(self._clock())

    async def _attempt(self, lane: _Lane, token: PushToken, notice: PushNotice) -> Verdict:
        try:
            verdict = await lane.provider.push(token, notice)
        except Exception:  # noqa: BLE001  a provider's bug costs its own push, not the daemon
            # As text: a formatter that shows local variables would show the token.
            stack = traceback.format_exc()
            log.error("push.internal-error", provider=token.provider, token=token.fingerprint, stack=stack)
            return Verdict(Outcome.RETRY, reason="internal-error")
        lane.breaker.record(verdict.status != 0 or verdict.outcome is not Outcome.RETRY, self._clock())
        return verdict
