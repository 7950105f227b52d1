"""The dispatcher over the real protocols: what it waits for, what it gives up, and what it says of a provider that is away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from control.domain.push import Outcome, PushNotice
from control.push.breaker import THRESHOLD
from control.push.dispatcher import Dispatcher

if TYPE_CHECKING:
    from tests.contract.push.conftest import Rig

BUSY = {"apns": ["TooManyRequests", "ServiceUnavailable"], "fcm": ["QUOTA_EXCEEDED", "UNAVAILABLE"]}
BUSY_ROWS = [(name, reason) for name, reasons in BUSY.items() for reason in reasons]


@pytest.mark.parametrize(("name", "reason"), BUSY_ROWS)
async def test_p4_a_pause_that_ends_before_the_deadline_is_kept_and_the_phone_rings_once(
    rig: Rig, name: str, reason: str
) -> None:
    rig.sandbox.order(name, reason=reason, retry_after=1, count=1)
    async with rig.apns() as apns, rig.fcm() as fcm:
        started = time.monotonic()
        verdict = await Dispatcher([apns, fcm]).dispatch(rig.phone(name), rig.notice(10))
        assert verdict.outcome is Outcome.DELIVERED
        assert 1.0 <= time.monotonic() - started < 3.0
    first, second = rig.sandbox.pushes
    assert (first.reason, second.status) == (reason, 200)
    assert second.received_at - first.received_at >= 1.0


@pytest.mark.parametrize(("name", "reason"), BUSY_ROWS)
async def test_p4_a_pause_beyond_the_deadline_is_given_up_at_once_and_says_so(
    rig: Rig, name: str, reason: str
) -> None:
    rig.sandbox.order(name, reason=reason, retry_after=30)
    async with rig.apns() as apns, rig.fcm() as fcm:
        started = time.monotonic()
        verdict = await Dispatcher([apns, fcm]).dispatch(rig.phone(name), rig.notice(5))
        assert time.monotonic() - started < 2.0
    assert (verdict.outcome, verdict.reason, verdict.retry_after) == (Outcome.RETRY, reason, 30.0)
    assert len(rig.sandbox.pushes) == 1


@pytest.mark.parametrize("name", ["apns", "fcm"])
async def test_p4_the_breaker_opens_is_seen_and_closes_when_the_provider_is_back(rig: Rig, name: str) -> None:
    async with rig.apns() as apns, rig.fcm() as fcm:
        dispatcher = Dispatcher([apns, fcm])
        await rig.sandbox.take_down(name)
        waiting = [
            asyncio.create_task(dispatcher.dispatch(rig.phone(name), rig.notice(20)))
            for _ in range(THRESHOLD + 1)
        ]
        await rig.until(lambda: bool(dispatcher.state()[name]["silent"]))
        assert dispatcher.state()[name]["under_way"] == len(waiting)
        await rig.sandbox.bring_up(name)
        assert {verdict.outcome for verdict in await asyncio.gather(*waiting)} == {Outcome.DELIVERED}
        assert dispatcher.state()[name] == {"under_way": 0, "silent": []}


@pytest.mark.parametrize("name", ["apns", "fcm"])
async def test_a_token_of_five_thousand_bytes_is_refused_and_costs_nothing(rig: Rig, name: str) -> None:
    async with rig.apns() as apns, rig.fcm() as fcm:
        dispatcher = Dispatcher([apns, fcm])
        huge = replace(rig.phone(name), token="c" * 5000)
        verdict = await dispatcher.dispatch(huge, PushNotice("c", "w", rig.clock() + 10))
        assert (verdict.outcome, verdict.quarantine) == (Outcome.REJECTED, False)
        assert (await dispatcher.dispatch(rig.phone(name), rig.notice())).outcome is Outcome.DELIVERED
