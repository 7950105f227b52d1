"""A token of a development build at the production server, and the other way round: P2's quarantine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from control.domain.push import PRODUCTION, SANDBOX, Outcome, PushToken
from demo.sandbox import ProviderSandbox
from tests.contract.push.conftest import ADDRESS, TOPIC

if TYPE_CHECKING:
    from tests.contract.push.conftest import Rig


@pytest.fixture
async def development(rig: Rig, directory: Path) -> AsyncIterator[ProviderSandbox]:
    """Apple's other environment: the same keys, other tokens."""
    other = ProviderSandbox(ADDRESS)
    await other.start(directory)
    yield other
    await other.stop()


def both(development: ProviderSandbox) -> dict[str, object]:
    host, port = development.apns_address
    return {"sandbox_server": host, "sandbox_port": port}


async def test_each_token_goes_to_its_own_environment(rig: Rig, development: ProviderSandbox) -> None:
    build = PushToken("apns", TOPIC, SANDBOX, development.install("apns", TOPIC))
    async with rig.apns(**both(development)) as apns:
        for token in (rig.phone("apns"), build):
            verdict = await apns.push(token, rig.notice())
            assert (verdict.outcome, verdict.environment) == (Outcome.DELIVERED, "")
    assert (len(rig.sandbox.pushes), len(development.pushes)) == (1, 1)


@pytest.mark.parametrize("mistaken", [PRODUCTION, SANDBOX])
async def test_p2_a_token_of_the_other_environment_is_found_there_and_the_verdict_says_so(
    rig: Rig, development: ProviderSandbox, mistaken: str
) -> None:
    true, home = (SANDBOX, development) if mistaken == PRODUCTION else (PRODUCTION, rig.sandbox)
    token = PushToken("apns", TOPIC, mistaken, home.install("apns", TOPIC))
    async with rig.apns(**both(development)) as apns:
        verdict = await apns.push(token, rig.notice())
        assert (verdict.outcome, verdict.environment, verdict.quarantine) == (Outcome.DELIVERED, true, False)
        await apns.push(replace(token, environment=verdict.environment), rig.notice())
    asked = [push.status for push in [*rig.sandbox.pushes, *development.pushes]]
    assert sorted(asked) == [200, 200, 400]  # one in vain; and the phone was told of each call once


async def test_p2_a_token_that_neither_environment_knows_is_for_quarantine_and_not_dead(
    rig: Rig, development: ProviderSandbox
) -> None:
    unknown = PushToken("apns", TOPIC, PRODUCTION, "c0ffee" * 10)
    async with rig.apns(**both(development)) as apns:
        verdict = await apns.push(unknown, rig.notice())
    assert (verdict.outcome, verdict.reason, verdict.quarantine) == (Outcome.REJECTED, "BadDeviceToken", True)
    assert (len(rig.sandbox.pushes), len(development.pushes)) == (1, 1)


async def test_p2_an_app_that_was_removed_from_the_other_environment_is_dead(
    rig: Rig, development: ProviderSandbox
) -> None:
    token = PushToken("apns", TOPIC, PRODUCTION, development.install("apns", TOPIC))
    development.uninstall(token.token)
    async with rig.apns(**both(development)) as apns:
        verdict = await apns.push(token, rig.notice())
    assert verdict.outcome is Outcome.TOKEN_DEAD


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("BadEnvironmentKeyIdInToken", Outcome.REJECTED), ("ServiceUnavailable", Outcome.RETRY)],
)
async def test_p2_an_environment_that_cannot_say_puts_nothing_into_quarantine(
    rig: Rig, development: ProviderSandbox, reason: str, outcome: Outcome
) -> None:
    development.order("apns", reason=reason)
    unknown = PushToken("apns", TOPIC, PRODUCTION, "c0ffee" * 10)
    async with rig.apns(**both(development)) as apns:
        verdict = await apns.push(unknown, rig.notice())
    assert (verdict.outcome, verdict.quarantine) == (outcome, False)


async def test_p2_a_server_of_one_s_own_has_no_other_environment(rig: Rig) -> None:
    async with rig.apns() as apns:
        verdict = await apns.push(PushToken("apns", TOPIC, PRODUCTION, "c0ffee"), rig.notice())
    assert (verdict.reason, verdict.quarantine) == ("BadDeviceToken", True)
    assert len(rig.sandbox.pushes) == 1
