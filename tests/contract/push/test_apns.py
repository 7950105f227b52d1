"""The cured APNs connection: however a stream or a connection ends, there is one verdict and no push is lost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from control.domain.push import ALERT, Outcome, Purpose, PushTrouble
from control.push.apns import connection as apns_connection
from control.push.apns import provider as apns_provider
from control.push.apns.connection import ApnsConnection
from control.push.apns.outcomes import OUTCOMES
from control.push.apns.provider_token import YOUNG
from control.push.dispatcher import Dispatcher
from control.push.errors import PushCredentialsError
from demo.sandbox.apns.reasons import STATUS_OF_REASON
from tests.contract.push.conftest import TOPIC

if TYPE_CHECKING:
    from tests.contract.push.conftest import Rig


async def test_p1_a_push_arrives_as_apple_wants_it(rig: Rig) -> None:
    phone, notice = rig.phone("apns"), rig.notice(20)
    async with rig.apns() as apns:
        verdict = await apns.push(phone, notice)
    (push,) = rig.sandbox.pushes
    assert (verdict.outcome, verdict.status, verdict.provider_id) == (
        Outcome.DELIVERED,
        200,
        push.provider_id,
    )
    assert (push.topic, push.push_type, push.priority) == (phone.app, "voip", "10")
    assert push.expires_at == int(notice.deadline)
    assert push.payload == {"nightbell": {"type": "call", "call": "k7f3", "wake": "w1"}}
    assert push.token == phone.token


async def test_p1_messages_go_to_the_token_for_alerts_and_never_as_a_voip_push(rig: Rig) -> None:
    phone = rig.phone("apns")
    app = TOPIC.removesuffix(".voip")
    alerts = replace(phone, app=app, kind=ALERT, token=rig.sandbox.install("apns", app))
    async with rig.apns() as apns:
        for purpose in (Purpose.MESSAGE, Purpose.VOICEMAIL, Purpose.REFRESH, Purpose.REQUEST):
            notice = replace(rig.notice(), purpose=purpose)
            assert (await apns.push(alerts, notice)).outcome is Outcome.DELIVERED
            assert (await apns.push(phone, notice)).reason == "purpose-unsupported"
        for token in (phone, alerts):
            over = replace(rig.notice(), purpose=Purpose.OVER)
            assert (await apns.push(token, over)).reason == "purpose-unsupported"
    assert [push.push_type for push in rig.sandbox.pushes] == ["alert", "alert", "background", "background"]
    assert {push.topic for push in rig.sandbox.pushes} == {app}


@pytest.mark.parametrize("reason", sorted(set(STATUS_OF_REASON) - {"ExpiredProviderToken"}))
async def test_p2_every_documented_reason_becomes_its_outcome(rig: Rig, reason: str) -> None:
    rig.sandbox.order("apns", reason=reason)
    async with rig.apns() as apns:
        verdict = await apns.push(rig.phone("apns"), rig.notice())
    assert (verdict.status, verdict.reason) == (STATUS_OF_REASON[reason], reason)
    assert verdict.outcome is OUTCOMES.outcome(verdict.status, reason)
    assert (verdict.outcome is Outcome.TOKEN_DEAD) == (reason in {"Unregistered", "ExpiredToken"})


async def test_p2_an_app_that_was_removed_is_dead_since_a_known_time(rig: Rig) -> None:
    phone = rig.phone("apns")
    rig.sandbox.order("apns", reason="Unregistered", unregistered_at=1_700_000_000.5)
    async with rig.apns() as apns:
        verdict = await apns.push(phone, rig.notice())
    assert verdict.unregistered_at == 1_700_000_000.5


async def test_p4_retry_after_is_passed_on(rig: Rig) -> None:
    rig.sandbox.order("apns", reason="ServiceUnavailable", retry_after=7)
    async with rig.apns() as apns:
        verdict = await apns.push(rig.phone("apns"), rig.notice())
    assert (verdict.outcome, verdict.retry_after) == (Outcome.RETRY, 7.0)


async def test_error_bodies_are_acknowledged_so_that_a_busy_connection_never_stalls(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aioapns 4.0 stalls for good when 64 KiB of error bodies have come: about 1,500 of these."""
    # For good is longer than a busy machine takes.
    monkeypatch.setattr(apns_provider, "ATTEMPT", 50.0)
    monkeypatch.setattr(apns_connection, "PONG_WITHIN", 50.0)
    rig.sandbox.order("apns", reason="Unregistered")
    phone, notice = rig.phone("apns"), rig.notice(60)
    async with rig.apns() as apns:
        for _ in range(25):
            verdicts = await asyncio.gather(*(apns.push(phone, notice) for _ in range(100)))
            assert {v.outcome for v in verdicts} == {Outcome.TOKEN_DEAD}
    assert len(rig.sandbox.pushes) == 2500
    assert len({push.connection for push in rig.sandbox.pushes}) <= 4


async def test_a_burst_on_a_new_connection_waits_for_its_stream_limit(rig: Rig) -> None:
    """APNs allows one stream until it has seen a valid token."""
    phone, notice = rig.phone("apns"), rig.notice()
    async with rig.apns() as apns:
        verdicts = await asyncio.gather(*(apns.push(phone, notice) for _ in range(200)))
    assert {v.outcome for v in verdicts} == {Outcome.DELIVERED}
    assert len(rig.sandbox.pushes) == 200


async def test_p8_a_limit_of_one_stream_is_kept(rig: Rig) -> None:
    rig.sandbox.order("apns", fault="one_stream")
    phone, notice = rig.phone("apns"), rig.notice()
    async with rig.apns() as apns:
        verdicts = await asyncio.gather(*(apns.push(phone, notice) for _ in range(100)))
    assert {v.outcome for v in verdicts} == {Outcome.DELIVERED}
    assert rig.statuses() == [200] * 100


async def test_a_stream_that_is_reset_gives_retry_at_once(rig: Rig) -> None:
    rig.sandbox.order("apns", fault="rst_stream", count=1)
    started = time.monotonic()
    async with rig.apns() as apns:
        verdict = await apns.push(rig.phone("apns"), rig.notice())
        assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "stream-reset")
        assert (await apns.push(rig.phone("apns"), rig.notice())).outcome is Outcome.DELIVERED
    assert time.monotonic() - started < 3
    assert len({push.connection for push in rig.sandbox.pushes}) == 1


async def test_p8_goaway_resends_what_was_not_processed_and_only_that(rig: Rig) -> None:
    slow, refused, notice = rig.phone("apns"), rig.phone("apns"), rig.notice()
    async with rig.apns() as apns:
        await apns.push(slow, notice)  # the server allows more than one stream from here on
        rig.sandbox.order("apns", token=slow.token, delay_ms=300, count=1)
        rig.sandbox.order("apns", token=refused.token, fault="goaway", count=1)
        first = asyncio.create_task(apns.push(slow, notice))
        await rig.until(lambda: len(rig.sandbox.pushes) == 2)
        second = await apns.push(refused, notice)
        assert second.outcome is Outcome.DELIVERED  # on a new connection, without the caller's doing
        assert (await first).outcome is Outcome.DELIVERED  # answered on the old one after its GOAWAY
    received = [push.token for push in rig.sandbox.pushes]
    assert received == [slow.token, slow.token, refused.token, refused.token]
    assert rig.sandbox.pushes[1].connection != rig.sandbox.pushes[3].connection


async def test_a_connection_that_is_closed_gives_retry_and_the_next_push_gets_a_new_one(rig: Rig) -> None:
    rig.sandbox.order("apns", fault="close", count=1)
    async with rig.apns() as apns:
        verdict = await apns.push(rig.phone("apns"), rig.notice())
        assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "connection-lost")
        assert (await apns.push(rig.phone("apns"), rig.notice())).outcome is Outcome.DELIVERED


async def test_p4_a_push_without_answer_ends_at_its_deadline_and_frees_its_stream(rig: Rig) -> None:
    phone = rig.phone("apns")
    rig.sandbox.order("apns", token=phone.token, fault="hang")
    async with rig.apns() as apns:
        started = time.monotonic()
        verdict = await apns.push(phone, rig.notice(0.4))
        assert (verdict.outcome, verdict.status, verdict.reason) == (Outcome.RETRY, 0, "timeout")
        assert 0.3 < time.monotonic() - started < 2
        # The server allowed this connection one stream so far: it must be free again.
        assert (await apns.push(rig.phone("apns"), rig.notice(5))).outcome is Outcome.DELIVERED
    assert len({push.connection for push in rig.sandbox.pushes}) == 1


async def test_w11_a_cancelled_push_resets_its_stream(rig: Rig) -> None:
    phone = rig.phone("apns")
    rig.sandbox.order("apns", token=phone.token, fault="hang")
    async with rig.apns() as apns:
        task = asyncio.create_task(apns.push(phone, rig.notice()))
        await rig.until(lambda: len(rig.sandbox.pushes) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await apns.push(rig.phone("apns"), rig.notice(5))).outcome is Outcome.DELIVERED


async def test_p8_an_idle_connection_is_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApnsConnection, "INACTIVITY_TIME", 0.01)  # aioapns closes after this
    async with rig.apns() as apns:
        await apns.push(rig.phone("apns"), rig.notice())
        await asyncio.sleep(0.1)
        await apns.push(rig.phone("apns"), rig.notice())
    assert len({push.connection for push in rig.sandbox.pushes}) == 1


async def test_a_provider_that_went_away_is_connected_again_before_the_next_call(rig: Rig) -> None:
    async with rig.apns() as apns:
        await rig.sandbox.take_down("apns")
        verdict = await apns.push(rig.phone("apns"), rig.notice())
        assert (verdict.outcome, verdict.status) == (Outcome.RETRY, 0)
        await rig.sandbox.bring_up("apns")
        await rig.until(lambda: apns.connected > 0)
        assert (await apns.push(rig.phone("apns"), rig.notice())).outcome is Outcome.DELIVERED


async def test_p8_an_expired_provider_token_is_signed_anew_and_the_push_sent_again(rig: Rig) -> None:
    rig.clock.offset = -YOUNG - 5
    async with rig.apns() as apns:
        await apns.push(rig.phone("apns"), rig.notice(200))
        rig.clock.offset = 0.0
        rig.sandbox.order("apns", reason="ExpiredProviderToken", count=1)
        assert (await apns.push(rig.phone("apns"), rig.notice())).outcome is Outcome.DELIVERED
    assert rig.statuses() == [200, 403, 200]
    assert len({push.headers["authorization"] for push in rig.sandbox.pushes}) == 2


async def test_p8_a_token_that_is_always_called_expired_is_our_clock_and_is_not_signed_again(
    rig: Rig,
) -> None:
    rig.sandbox.order("apns", reason="ExpiredProviderToken")
    async with rig.apns() as apns:
        verdict = await apns.push(rig.phone("apns"), rig.notice())
    assert verdict.outcome is Outcome.MISCONFIGURED
    assert rig.statuses() == [403]


@pytest.mark.parametrize(
    ("hours", "reason"), [(-2, "ExpiredProviderToken"), (2, "InvalidProviderToken")], ids=["slow", "fast"]
)
async def test_p8_a_clock_two_hours_wrong_alarms_rings_nobody_twice_and_delays_no_other_provider(
    rig: Rig, hours: int, reason: str
) -> None:
    troubles: list[PushTrouble] = []
    rig.clock.offset = hours * 3600.0
    iphone, android = rig.phone("apns"), rig.phone("fcm")
    async with rig.apns() as apns, rig.fcm() as fcm:
        dispatcher = Dispatcher([apns, fcm], rig.clock, trouble=troubles.append)
        started = time.monotonic()
        wrong, right = await asyncio.gather(
            dispatcher.dispatch(iphone, rig.notice()), dispatcher.dispatch(android, rig.notice())
        )
        assert time.monotonic() - started < 2
        assert (wrong.outcome, wrong.reason) == (Outcome.MISCONFIGURED, reason)
        assert right.outcome is Outcome.DELIVERED
        assert [push.status for push in rig.sandbox.pushes if push.token == iphone.token] == [403]
        (trouble,) = [trouble for trouble in troubles if trouble.text]
        assert (trouble.provider, trouble.about) == ("apns", iphone.app)
        assert "clock is right" in trouble.text
        rig.clock.offset = 0.0  # somebody has set it
        assert (await dispatcher.dispatch(iphone, rig.notice())).outcome is Outcome.DELIVERED
        assert (troubles[-1].about, troubles[-1].text) == (iphone.app, "")  # over


async def test_p2_a_wrong_team_is_misconfigured_and_deletes_nothing(rig: Rig) -> None:
    key = replace(rig.apns_settings.keys[0], team_id="WRONGTEAM0")
    async with rig.apns(keys=(key,)) as apns:
        verdict = await apns.push(rig.phone("apns"), rig.notice())
    assert (verdict.outcome, verdict.reason) == (Outcome.MISCONFIGURED, "InvalidProviderToken")


@pytest.mark.parametrize("token", ["", "../../v1", "zz", "c0ffee 00", "c0ffee\r\n", "c" * 2000])
async def test_what_is_no_token_is_never_sent(rig: Rig, token: str) -> None:
    phone = rig.phone("apns")
    bad = type(phone)(phone.provider, phone.app, phone.environment, token)
    async with rig.apns() as apns:
        assert (await apns.push(bad, rig.notice())).outcome is Outcome.REJECTED
    assert rig.sandbox.pushes == []


async def test_a_missing_key_stops_the_start_with_its_name(rig: Rig, tmp_path: Path) -> None:
    key = replace(rig.apns_settings.keys[0], key_file=tmp_path / "missing.p8")
    with pytest.raises(PushCredentialsError, match=r"missing\.p8"):
        async with rig.apns(keys=(key,)):
            pass


async def test_a_missing_authority_stops_the_start_with_its_name(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(PushCredentialsError, match=r"missing\.pem"):
        async with rig.apns(ca_file=tmp_path / "missing.pem"):
            pass
