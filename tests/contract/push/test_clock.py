"""Our clock is two hours wrong, and Google says so: pushes are signed by Google's time, for Apple as well, and an alarm stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from control.domain.push import Outcome, PushTrouble
from control.push.dispatcher import Dispatcher
from control.push.provider_time import ProviderTime
from demo.sandbox import ProviderSandbox
from tests.contract.push.conftest import ADDRESS, Clock, Rig

if TYPE_CHECKING:
    from demo.sandbox import Push

WRONG = [-2 * 3600.0, 2 * 3600.0]


class Hour:
    """The rig's machine, whose clock is wrong, and what it is told of that."""

    def __init__(self, rig: Rig, wrong: float) -> None:
        self.clock = Clock()
        self.clock.offset = wrong
        self.told: list[PushTrouble] = []
        rig.clock = ProviderTime(self.clock, self.told.append)  # type: ignore[assignment]


def of(rig: Rig, token: str) -> list[Push]:
    return [push for push in rig.sandbox.pushes if push.token == token]


@pytest.mark.parametrize("wrong", WRONG, ids=["slow", "fast"])
async def test_p8_with_a_clock_two_hours_wrong_each_phone_rings_once(rig: Rig, wrong: float) -> None:
    hour = Hour(rig, wrong)
    iphone, android = rig.phone("apns"), rig.phone("fcm")
    async with rig.apns() as apns, rig.fcm() as fcm:
        dispatcher = Dispatcher([apns, fcm], rig.clock)
        for count in (1, 2):
            verdicts = await asyncio.gather(
                *(dispatcher.dispatch(phone, rig.notice(20)) for phone in (iphone, android))
            )
            assert {verdict.outcome for verdict in verdicts} == {Outcome.DELIVERED}
            assert [
                len([p for p in of(rig, phone.token) if p.status == 200]) for phone in (iphone, android)
            ] == [
                count,
                count,
            ]
        for push in rig.sandbox.pushes:
            assert 0 < push.expires_at - push.received_at <= 21  # it is dropped when the call is over
        (trouble,) = hour.told
        assert f"120 minutes {'slow' if wrong < 0 else 'fast'}" in trouble.text
        hour.clock.offset = 0.0  # somebody sets it: no push fails for that
        assert (await dispatcher.dispatch(iphone, rig.notice())).outcome is Outcome.DELIVERED
        await fcm._touch(fcm._session)  # type: ignore[arg-type]  # once in 50 s
        assert hour.told[-1].text == ""


async def test_p2_when_a_token_died_is_told_by_our_clock(rig: Rig) -> None:
    hour = Hour(rig, 7200.0)
    rig.clock.heard(formatdate(hour.clock() - 7200, usegmt=True))  # type: ignore[attr-defined]
    rig.sandbox.order("apns", reason="Unregistered", unregistered_at=hour.clock() - 7200 - 5)
    async with rig.apns() as apns:
        verdict = await apns.push(rig.phone("apns"), rig.notice())
    assert verdict.outcome is Outcome.TOKEN_DEAD
    assert verdict.unregistered_at == pytest.approx(hour.clock() - 5, abs=3)


async def test_p8_when_what_was_learned_is_wrong_our_own_clock_is_tried(rig: Rig) -> None:
    """As after a pause that no clock of the machine has noticed."""
    hour = Hour(rig, 0.0)
    rig.clock.heard(formatdate(hour.clock() - 7200, usegmt=True))  # type: ignore[attr-defined]
    async with rig.apns() as apns:
        assert (await apns.push(rig.phone("apns"), rig.notice())).outcome is Outcome.DELIVERED
    assert rig.statuses() == [403, 200]


@pytest.fixture
async def dated(directory: Path) -> AsyncIterator[Rig]:
    """Should Apple's answers have a Date, as all answers are to have by RFC 9110."""
    sandbox = ProviderSandbox(ADDRESS, apns_dates=True)
    await sandbox.start(directory)
    yield Rig(sandbox)
    await sandbox.stop()


@pytest.mark.parametrize("wrong", WRONG, ids=["slow", "fast"])
async def test_p8_apple_alone_is_enough_if_its_answers_have_a_date(dated: Rig, wrong: float) -> None:
    hour = Hour(dated, wrong)
    iphone = dated.phone("apns")
    async with dated.apns() as apns:
        verdicts = await asyncio.gather(*(apns.push(iphone, dated.notice()) for _ in range(20)))
        assert {verdict.outcome for verdict in verdicts} == {Outcome.DELIVERED}
        assert (await apns.push(iphone, dated.notice())).outcome is Outcome.DELIVERED
    assert dated.statuses().count(200) == 21  # each once
    assert len(hour.told) == 1


async def test_p8_a_wrong_key_is_not_taken_for_a_wrong_clock(dated: Rig) -> None:
    dated.sandbox.order("apns", reason="InvalidProviderToken")
    async with dated.apns() as apns:
        assert (await apns.push(dated.phone("apns"), dated.notice())).outcome is Outcome.MISCONFIGURED
    assert dated.statuses() == [403]
