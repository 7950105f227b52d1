"""The log provider: each push becomes a line in the log, and wakes nobody."""

from __future__ import annotations

import time

import structlog

from control.domain.push import LOG, Outcome, PushNotice, PushToken, Verdict
from control.push.log.settings import LogSettings
from control.push.port import Clock

log = structlog.get_logger("push.log")


class LogProvider:
    """Takes every push."""

    name = LOG

    def __init__(self, settings: LogSettings, clock: Clock = time.time) -> None:
        self._clock = clock

    async def start(self) -> None:
        """Say that pushes go nowhere."""
        log.warning("push.log-provider", meaning="pushes to its tokens are written here and wake nobody")

    async def close(self) -> None:
        """Nothing is kept open."""

    def lane(self, token: PushToken) -> str:
        """One for all."""
        return ""

    async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
        """Write the push down."""
        log.info(
            "push",
            purpose=notice.purpose.value,
            token=token.fingerprint,
            app=token.app,
            kind=token.kind,
            call=notice.call,
            wake=notice.wake,
            seconds_left=round(notice.deadline - self._clock(), 1),
        )
        return Verdict(Outcome.DELIVERED, provider_id=notice.wake)
