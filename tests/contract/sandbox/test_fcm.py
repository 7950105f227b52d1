"""FCM over HTTPS: acceptance, each of Google's errors, the conditions on a message, and faults."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from demo.sandbox import ProviderSandbox, SandboxError
from demo.sandbox.fcm.errors import FCM_ERRORS

if TYPE_CHECKING:
    from tests.contract.sandbox.conftest import FcmSender

PACKAGE = "org.example.phone"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"

# Google's table, written a second time on purpose: FCM error code, HTTP status, canonical status.
GOOGLES_TABLE = [
    ("UNSPECIFIED_ERROR", 500, "UNKNOWN"),
    ("INVALID_ARGUMENT", 400, "INVALID_ARGUMENT"),
    ("UNREGISTERED", 404, "NOT_FOUND"),
    ("SENDER_ID_MISMATCH", 403, "PERMISSION_DENIED"),
    ("QUOTA_EXCEEDED", 429, "RESOURCE_EXHAUSTED"),
    ("UNAVAILABLE", 503, "UNAVAILABLE"),
    ("INTERNAL", 500, "INTERNAL"),
    ("THIRD_PARTY_AUTH_ERROR", 401, "UNAUTHENTICATED"),
]


async def test_a_good_message_is_accepted_and_recorded(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    token = sandbox.install("fcm", PACKAGE)
    before = time.time()
    status, body = await fcm.push(token, data={"call": "c9"})
    after = time.time()

    assert status == 200
    assert body["name"].startswith(f"projects/{sandbox.credentials.project_id}/messages/")
    [push] = sandbox.pushes
    assert before <= push.received_at <= after
    assert (push.provider, push.token, push.topic, push.status) == ("fcm", token, PACKAGE, 200)
    assert (push.priority, push.push_type) == ("high", "data")
    assert push.expires_at == push.received_at + 30
    assert push.payload == {"call": "c9"}
    assert push.provider_id == body["name"]


def test_all_of_googles_codes_can_be_ordered() -> None:
    assert {code for code, _, _ in GOOGLES_TABLE} == set(FCM_ERRORS)


@pytest.mark.parametrize(("code", "http_status", "status"), GOOGLES_TABLE)
async def test_p3_an_ordered_error_has_googles_envelope(
    sandbox: ProviderSandbox, fcm: FcmSender, code: str, http_status: int, status: str
) -> None:
    token = sandbox.install("fcm", PACKAGE)
    sandbox.order("fcm", reason=code, token=token, count=1)

    answered, body = await fcm.push(token)

    assert answered == http_status
    error = body["error"]
    assert (error["code"], error["status"]) == (http_status, status)
    assert error["message"]
    assert error["details"] == [{"@type": FCM_ERROR, "errorCode": code}]
    assert (sandbox.pushes[-1].status, sandbox.pushes[-1].reason) == (http_status, code)
    assert (await fcm.push(token))[0] == 200


async def test_p4_an_order_carries_retry_after(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    sandbox.order("fcm", reason="QUOTA_EXCEEDED", retry_after=60)
    async with fcm.post({"token": sandbox.install("fcm", PACKAGE)}) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "60")


async def test_a_removed_app_is_unregistered(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    token = sandbox.install("fcm", PACKAGE)
    sandbox.uninstall(token)
    status, body = await fcm.push(token)
    assert (status, body["error"]["details"][0]["errorCode"]) == (404, "UNREGISTERED")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("message.data[0].value", {"data": {"call": 1}}),
        ("message.data[0].key", {"data": {"from": "x"}}),
        ("message.data[0].key", {"data": {"google.x": "x"}}),
        ("message.data", {"data": ["x"]}),
        ("message.data", {"data": {"x": "x" * 4096}}),
        ("message", {"token": None}),
        ("message", {"topic": "news"}),
        ("message", {"colour": "red"}),
        ("message.token", {"token": 17}),
        ("message.android", {"android": "high"}),
        ("message.android.priority", {"android": {"priority": "urgent"}}),
        ("message.android.ttl", {"android": {"ttl": 30}}),
        ("message.android.ttl", {"android": {"ttl": "30"}}),
        ("message.android.ttl", {"android": {"ttl": "2419201s"}}),
        (
            "message.android.restricted_package_name",
            {"android": {"restricted_package_name": "org.example.other"}},
        ),
    ],
)
async def test_p3_a_malformed_message_is_answered_with_the_field(
    sandbox: ProviderSandbox, fcm: FcmSender, field: str, changes: dict[str, Any]
) -> None:
    status, body = await fcm.push(sandbox.install("fcm", PACKAGE), **changes)
    assert (status, body["error"]["status"]) == (400, "INVALID_ARGUMENT")
    [detail] = body["error"]["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert detail["fieldViolations"][0]["field"] == field


async def test_a_body_that_is_no_message_is_refused(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    token = sandbox.install("fcm", PACKAGE)
    async with fcm.post({"token": token}, colour="red") as response:
        assert response.status == 400
    async with fcm.post("hello") as response:
        assert response.status == 400
    assert [push.status for push in sandbox.pushes] == [400, 400]


async def test_a_token_of_another_shape_is_invalid_and_an_unknown_one_unregistered(
    sandbox: ProviderSandbox, fcm: FcmSender
) -> None:
    status, body = await fcm.push("nonsense")
    assert (status, body["error"]["details"][0]["errorCode"]) == (400, "INVALID_ARGUMENT")
    status, body = await fcm.push(sandbox.install("fcm", PACKAGE)[:-1] + "-x")
    assert (status, body["error"]["details"][0]["errorCode"]) == (404, "UNREGISTERED")


async def test_another_project_is_forbidden(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    async with fcm.post({"token": sandbox.install("fcm", PACKAGE)}, project="somebody-elses") as response:
        assert response.status == 403
        assert (await response.json())["error"]["status"] == "PERMISSION_DENIED"


async def test_validate_only_reaches_no_phone(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    token = sandbox.install("fcm", PACKAGE)
    deliveries = sandbox.deliveries(token)
    async with fcm.post({"token": token, "data": {"n": "1"}}, validate_only=True) as response:
        assert response.status == 200
    await fcm.push(token, data={"n": "2"})
    assert (await anext(deliveries)).payload == {"n": "2"}


async def test_p4_a_push_that_hangs_does_not_hold_up_the_next(
    sandbox: ProviderSandbox, fcm: FcmSender
) -> None:
    alice, bob = sandbox.install("fcm", PACKAGE), sandbox.install("fcm", PACKAGE)
    sandbox.order("fcm", fault="hang", token=alice)
    hung = asyncio.create_task(fcm.push(alice))
    await sandbox.wait_for_push(lambda push: push.token == alice)
    assert (await fcm.push(bob))[0] == 200
    assert not hung.done()
    assert [(push.status, push.reason) for push in sandbox.pushes] == [(0, "hang"), (200, "")]
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung


async def test_close_drops_the_connection(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    token = sandbox.install("fcm", PACKAGE)
    sandbox.order("fcm", fault="close", count=1)
    # A POST is not repeated by aiohttp, so that the sender sees the loss.
    with pytest.raises(aiohttp.ClientConnectionError):
        await fcm.push(token)
    assert (await fcm.push(token))[0] == 200


async def test_bad_gateway_answers_with_a_page_instead_of_json(
    sandbox: ProviderSandbox, fcm: FcmSender
) -> None:
    sandbox.order("fcm", fault="bad_gateway", count=1)
    async with fcm.post({"token": sandbox.install("fcm", PACKAGE)}) as response:
        assert (response.status, response.content_type) == (502, "text/html")


async def test_delay_holds_back_the_answer(sandbox: ProviderSandbox, fcm: FcmSender) -> None:
    sandbox.order("fcm", delay_ms=120)
    began = time.monotonic()
    assert (await fcm.push(sandbox.install("fcm", PACKAGE)))[0] == 200
    assert time.monotonic() - began >= 0.12


async def test_http2_faults_are_no_orders_for_fcm(sandbox: ProviderSandbox) -> None:
    with pytest.raises(SandboxError):
        sandbox.order("fcm", fault="goaway")


async def test_a_provider_that_is_down_refuses_connections_and_comes_back(
    sandbox: ProviderSandbox, fcm: FcmSender
) -> None:
    token = sandbox.install("fcm", PACKAGE)
    await sandbox.take_down("fcm")
    with pytest.raises(aiohttp.ClientConnectionError):
        await fcm.push(token)
    await sandbox.bring_up("fcm")
    assert (await fcm.push(token))[0] == 200
