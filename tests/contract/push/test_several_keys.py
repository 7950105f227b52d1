"""Several teams' keys and several Firebase projects at once, each used for its own apps alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from control.domain.push import Outcome, PushToken
from control.push.apns.settings import ApnsKey
from control.push.errors import PushCredentialsError
from control.push.fcm.settings import FcmAccount
from tests.contract.push.conftest import PROJECT_NUMBER

if TYPE_CHECKING:
    from tests.contract.push.conftest import Rig

ACME = "com.acme.desk"


def acme_phone(rig: Rig) -> PushToken:
    return PushToken("apns", f"{ACME}.voip", "production", rig.sandbox.install("apns", f"{ACME}.voip"))


def two_keys(rig: Rig) -> tuple[ApnsKey, ApnsKey]:
    ours = replace(rig.apns_settings.keys[0], topics=("org.example.*",))
    return ours, ApnsKey(*rig.sandbox.add_team(ACME), topics=(f"{ACME}.voip",))


async def test_each_app_is_pushed_to_with_its_team_s_key_on_connections_of_its_own(rig: Rig) -> None:
    ours, acme = rig.phone("apns"), acme_phone(rig)
    async with rig.apns(keys=two_keys(rig)) as apns:
        verdicts = await asyncio.gather(*(apns.push(phone, rig.notice()) for phone in [ours, acme] * 20))
    assert {verdict.outcome for verdict in verdicts} == {Outcome.DELIVERED}
    connections = {
        phone.token: {push.connection for push in rig.sandbox.pushes if push.token == phone.token}
        for phone in (ours, acme)
    }
    assert not connections[ours.token] & connections[acme.token]


async def test_p2_the_key_of_another_team_is_misconfigured_and_says_what_to_do(rig: Rig) -> None:
    ours, _ = two_keys(rig)
    async with rig.apns(keys=(replace(ours, topics=()),)) as apns:
        verdict = await apns.push(acme_phone(rig), rig.notice())
        assert (verdict.outcome, verdict.reason) == (Outcome.MISCONFIGURED, "TopicDisallowed")
        assert "check the bundle id" in verdict.advice
        assert (await apns.push(rig.phone("apns"), rig.notice())).outcome is Outcome.DELIVERED


async def test_an_app_that_no_key_serves_is_misconfigured_and_nothing_is_sent(rig: Rig) -> None:
    stranger = replace(rig.phone("apns"), app="net.stranger.voip")
    async with rig.apns(keys=two_keys(rig)) as apns:
        verdict = await apns.push(stranger, rig.notice())
    assert (verdict.outcome, verdict.reason) == (Outcome.MISCONFIGURED, "no-key-for-topic")
    assert "topics" in verdict.advice
    assert rig.sandbox.pushes == []


async def test_each_app_is_sent_to_by_its_project_s_account_named_by_number_or_by_id(rig: Rig) -> None:
    path, project = rig.sandbox.add_project()
    ours = FcmAccount(rig.sandbox.credentials.service_account_file, PROJECT_NUMBER)
    theirs = FcmAccount(path, "42")
    phone = rig.phone("fcm")
    async with rig.fcm(accounts=(ours, theirs)) as fcm:
        verdicts = [
            await fcm.push(replace(phone, app=app), rig.notice()) for app in (PROJECT_NUMBER, "42", project)
        ]
        lost = await fcm.push(replace(phone, app="43"), rig.notice())
        lanes = {app: fcm.lane(replace(phone, app=app)) for app in (PROJECT_NUMBER, "42", project)}
    assert [verdict.outcome for verdict in verdicts] == [Outcome.DELIVERED] * 3
    assert [verdict.provider_id.split("/")[1] for verdict in verdicts] == [
        rig.sandbox.credentials.project_id,
        project,
        project,
    ]
    assert (lost.outcome, lost.reason) == (Outcome.MISCONFIGURED, "no-account-for-project")
    assert "project_number" in lost.advice
    assert lanes["42"] == lanes[project] != lanes[PROJECT_NUMBER]


async def test_p4_a_project_whose_account_is_refused_disturbs_no_other(rig: Rig) -> None:
    path, _ = rig.sandbox.add_project()
    deleted = json.loads(path.read_text()) | {"client_email": "nobody@example.org"}
    path.write_text(json.dumps(deleted))
    ours = FcmAccount(rig.sandbox.credentials.service_account_file, PROJECT_NUMBER)
    phone = rig.phone("fcm")
    async with rig.fcm(accounts=(FcmAccount(path, "42"), ours)) as fcm:
        refused = await fcm.push(replace(phone, app="42"), rig.notice())
        assert (refused.outcome, refused.reason) == (Outcome.MISCONFIGURED, "service-account-refused")
        assert "Google refuses the service account" in refused.advice
        assert (await fcm.push(phone, rig.notice())).outcome is Outcome.DELIVERED


async def test_two_files_of_one_project_stop_the_start(rig: Rig) -> None:
    file = rig.sandbox.credentials.service_account_file
    with pytest.raises(PushCredentialsError, match=rig.sandbox.credentials.project_id):
        async with rig.fcm(accounts=(FcmAccount(file, "1"), FcmAccount(file, "2"))):
            pass
