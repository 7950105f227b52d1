"""The FCM provider: data messages over HTTP v1, access tokens that are there before they are needed."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from control.domain.push import Outcome
from control.push.errors import PushCredentialsError
from control.push.fcm.outcomes import OUTCOMES
from control.push.fcm.settings import FcmAccount
from demo.sandbox import Order
from demo.sandbox.fcm.errors import FCM_ERRORS
from demo.sandbox.fcm.oauth import Grant

if TYPE_CHECKING:
    from tests.contract.push.conftest import Rig


async def test_p3_a_push_arrives_data_only_high_priority_and_short_lived(rig: Rig) -> None:
    phone, notice = rig.phone("fcm"), rig.notice(20)
    async with rig.fcm() as fcm:
        verdict = await fcm.push(phone, notice)
    (push,) = rig.sandbox.pushes
    assert (verdict.outcome, verdict.status, verdict.provider_id) == (
        Outcome.DELIVERED,
        200,
        push.provider_id,
    )
    assert (push.push_type, push.priority, push.token) == ("data", "high", phone.token)
    assert push.payload == {"nightbell_type": "call", "nightbell_call": "k7f3", "nightbell_wake": "w1"}
    assert notice.deadline - 2 < push.expires_at <= notice.deadline + 0.1


@pytest.mark.parametrize("reason", sorted(FCM_ERRORS))
async def test_p3_every_documented_error_becomes_its_outcome(rig: Rig, reason: str) -> None:
    rig.sandbox.order("fcm", reason=reason)
    async with rig.fcm() as fcm:
        verdict = await fcm.push(rig.phone("fcm"), rig.notice())
    assert (verdict.status, verdict.reason) == (FCM_ERRORS[reason].code, reason)
    assert verdict.outcome is OUTCOMES.outcome(verdict.status, reason)
    assert (verdict.outcome is Outcome.TOKEN_DEAD) == (reason == "UNREGISTERED")


async def test_p3_a_404_for_a_project_is_not_a_dead_token(rig: Rig) -> None:
    async with rig.fcm(base_url=f"{rig.sandbox.fcm_url}/elsewhere") as fcm:
        verdict = await fcm.push(rig.phone("fcm"), rig.notice())
    assert (verdict.outcome, verdict.status) == (Outcome.MISCONFIGURED, 404)


async def test_p2_another_project_is_misconfigured(rig: Rig, tmp_path: Path) -> None:
    account = json.loads(rig.sandbox.credentials.service_account_file.read_text())
    path = tmp_path / "account.json"
    path.write_text(json.dumps({**account, "project_id": "somebody-else"}))
    async with rig.fcm(accounts=(FcmAccount(path),)) as fcm:
        verdict = await fcm.push(rig.phone("fcm"), rig.notice())
    assert (verdict.outcome, verdict.reason) == (Outcome.MISCONFIGURED, "PERMISSION_DENIED")


async def test_p4_retry_after_is_passed_on(rig: Rig) -> None:
    rig.sandbox.order("fcm", reason="UNAVAILABLE", retry_after=9)
    async with rig.fcm() as fcm:
        verdict = await fcm.push(rig.phone("fcm"), rig.notice())
    assert (verdict.outcome, verdict.retry_after) == (Outcome.RETRY, 9.0)


async def test_an_error_page_that_is_no_json_is_worth_a_retry(rig: Rig) -> None:
    rig.sandbox.order("fcm", fault="bad_gateway")
    async with rig.fcm() as fcm:
        verdict = await fcm.push(rig.phone("fcm"), rig.notice())
    assert (verdict.outcome, verdict.status, verdict.reason) == (Outcome.RETRY, 502, "")


async def test_a_connection_that_is_closed_gives_retry(rig: Rig) -> None:
    rig.sandbox.order("fcm", fault="close", count=1)
    async with rig.fcm() as fcm:
        verdict = await fcm.push(rig.phone("fcm"), rig.notice())
        assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "connection-lost")
        assert (await fcm.push(rig.phone("fcm"), rig.notice())).outcome is Outcome.DELIVERED


async def test_p4_a_push_without_answer_ends_at_its_deadline(rig: Rig) -> None:
    rig.sandbox.order("fcm", fault="hang")
    async with rig.fcm() as fcm:
        started = time.monotonic()
        verdict = await fcm.push(rig.phone("fcm"), rig.notice(0.4))
        assert (verdict.outcome, verdict.status, verdict.reason) == (Outcome.RETRY, 0, "timeout")
        assert time.monotonic() - started < 2


async def test_a_withdrawn_access_token_is_replaced_once_for_all_and_the_pushes_sent_again(rig: Rig) -> None:
    phone = rig.phone("fcm")
    async with rig.fcm() as fcm:
        assert (await fcm.push(phone, rig.notice())).outcome is Outcome.DELIVERED
        rig.sandbox.access_tokens.revoke_all()
        verdicts = await asyncio.gather(*(fcm.push(phone, rig.notice()) for _ in range(20)))
    assert {v.outcome for v in verdicts} == {Outcome.DELIVERED}
    assert len({push.headers["authorization"] for push in rig.sandbox.pushes}) == 2


async def test_a_401_that_stays_is_misconfigured_after_one_refresh(rig: Rig) -> None:
    phone = rig.phone("fcm")
    async with rig.fcm() as fcm:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rig.sandbox.access_tokens, "refusal", lambda _: "ACCESS_TOKEN_EXPIRED")
            verdict = await fcm.push(phone, rig.notice())
    assert (verdict.outcome, verdict.status) == (Outcome.MISCONFIGURED, 401)
    assert rig.statuses() == [401, 401]


async def test_the_access_token_is_renewed_ahead_of_its_end_so_that_no_push_waits(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, issued = rig.sandbox.access_tokens, []

    def exchange(grant_type: str, assertion: str) -> Grant:
        issued.append(time.monotonic())
        return exchange_really(grant_type, assertion)

    exchange_really = tokens.exchange
    monkeypatch.setattr(tokens, "exchange", exchange)
    tokens.life = 2.0
    async with rig.fcm() as fcm:
        await rig.until(lambda: len(issued) >= 3)
        assert (await fcm.push(rig.phone("fcm"), rig.notice())).outcome is Outcome.DELIVERED
    assert all(0.8 < later - earlier < 2.0 for earlier, later in pairwise(issued))


@pytest.mark.parametrize("reason", ["invalid_grant", "invalid_client"])
async def test_p2_a_refused_service_account_is_misconfigured(rig: Rig, reason: str) -> None:
    rig.sandbox.order("fcm", endpoint="token", reason=reason)
    async with rig.fcm() as fcm:
        verdict = await fcm.push(rig.phone("fcm"), rig.notice())
    assert (verdict.outcome, verdict.reason) == (Outcome.MISCONFIGURED, "service-account-refused")
    assert rig.sandbox.pushes == []


async def test_p4_a_token_endpoint_that_hangs_gives_retry_by_the_deadline(rig: Rig) -> None:
    rig.sandbox.order("fcm", endpoint="token", fault="hang")
    async with rig.fcm() as fcm:
        started = time.monotonic()
        verdict = await fcm.push(rig.phone("fcm"), rig.notice(0.3))
        assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "timeout")
        assert time.monotonic() - started < 1.5
        await rig.sandbox.take_down("fcm")


async def test_a_missing_service_account_stops_the_start_with_its_name(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(PushCredentialsError, match=r"missing\.json"):
        async with rig.fcm(accounts=(FcmAccount(tmp_path / "missing.json"),)):
            pass


async def test_a_missing_authority_stops_the_start_with_its_name(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(PushCredentialsError, match=r"missing\.pem"):
        async with rig.fcm(ca_file=tmp_path / "missing.pem"):
            pass


async def test_while_google_refuses_it_is_not_asked_for_every_push(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    account_refused = rig.sandbox.order("fcm", endpoint="token", reason="invalid_grant")
    take = rig.sandbox.orders.take

    def counted(provider: str, token: str = "", endpoint: str = "send") -> Order | None:
        nonlocal asked
        asked += endpoint == "token"
        return take(provider, token, endpoint)

    monkeypatch.setattr(rig.sandbox.orders, "take", counted)
    async with rig.fcm() as fcm:
        for _ in range(50):
            await fcm.push(rig.phone("fcm"), rig.notice())
        assert asked <= 3
        rig.sandbox.cancel(account_refused)
        outcome = Outcome.MISCONFIGURED
        async with asyncio.timeout(10):
            while outcome is not Outcome.DELIVERED:
                await asyncio.sleep(0.05)
                outcome = (await fcm.push(rig.phone("fcm"), rig.notice())).outcome
