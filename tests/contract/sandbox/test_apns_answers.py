"""What an APNs sender is told: acceptance, and each of Apple's errors."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import pytest

from demo.sandbox import ProviderSandbox, SandboxError
from demo.sandbox.apns.reasons import STATUS_OF_REASON

if TYPE_CHECKING:
    from tests.contract.sandbox.conftest import ApnsSender

TOPIC = "org.example.phone.voip"

# Apple's table, written a second time on purpose: the two copies check each other.
APPLES_TABLE = {
    400: "BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic DeviceTokenNotForTopic "
    "DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed",
    403: "BadCertificate BadCertificateEnvironment BadEnvironmentKeyIdInToken ExpiredProviderToken Forbidden "
    "InvalidProviderToken MissingProviderToken UnrelatedKeyIdInToken",
    404: "BadPath",
    405: "MethodNotAllowed",
    410: "ExpiredToken Unregistered",
    413: "PayloadTooLarge",
    429: "TooManyProviderTokenUpdates TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable Shutdown",
}
REASONS = [(status, reason) for status, reasons in APPLES_TABLE.items() for reason in reasons.split()]


async def test_a_good_push_is_accepted_and_recorded(sandbox: ProviderSandbox, apns: ApnsSender) -> None:
    token = sandbox.install("apns", TOPIC)
    apns_id = str(uuid.uuid4())
    before = time.time()
    response = await apns.push(
        token, {"nightbell": {"call": "c9"}}, apns_id=apns_id, apns_expiration="1999999999"
    )
    after = time.time()

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["apns-id"] == apns_id
    [push] = sandbox.pushes
    assert before <= push.received_at <= after
    assert (push.provider, push.token, push.topic, push.status) == ("apns", token, TOPIC, 200)
    assert (push.push_type, push.priority, push.expires_at) == ("voip", "10", 1999999999.0)
    assert push.payload == {"nightbell": {"call": "c9"}}
    assert push.provider_id == apns_id


async def test_an_apns_id_is_made_up_when_the_sender_gives_none(
    sandbox: ProviderSandbox, apns: ApnsSender
) -> None:
    response = await apns.push(sandbox.install("apns", TOPIC))
    assert uuid.UUID(response.headers["apns-id"])


def test_all_of_apples_reasons_can_be_ordered() -> None:
    assert {reason: status for status, reason in REASONS} == STATUS_OF_REASON


@pytest.mark.parametrize(("status", "reason"), REASONS)
async def test_an_ordered_error_has_apples_status_and_body(
    sandbox: ProviderSandbox, apns: ApnsSender, status: int, reason: str
) -> None:
    token = sandbox.install("apns", TOPIC)
    sandbox.order("apns", reason=reason, token=token, count=1)

    response = await apns.push(token)

    assert response.status_code == status
    body = response.json()
    assert body.pop("reason") == reason
    at = body.pop("timestamp", None)
    assert (at is not None) == (status == 410)
    assert at is None or abs(at / 1000 - time.time()) < 60
    assert body == {}
    assert response.headers["apns-id"]
    assert (sandbox.pushes[-1].status, sandbox.pushes[-1].reason) == (status, reason)
    assert (await apns.push(token)).status_code == 200


async def test_p2_the_time_of_a_410_can_be_set(sandbox: ProviderSandbox, apns: ApnsSender) -> None:
    token = sandbox.install("apns", TOPIC)
    sandbox.order("apns", reason="Unregistered", token=token, unregistered_at=1_700_000_000.5)
    assert (await apns.push(token)).json() == {"reason": "Unregistered", "timestamp": 1_700_000_000_500}


async def test_p2_a_removed_app_is_unregistered_since_its_removal(
    sandbox: ProviderSandbox, apns: ApnsSender
) -> None:
    token = sandbox.install("apns", TOPIC)
    before = time.time()
    sandbox.uninstall(token)
    response = await apns.push(token)
    assert response.status_code == 410
    assert before - 1 <= response.json()["timestamp"] / 1000 <= time.time()


async def test_p4_an_order_carries_retry_after(sandbox: ProviderSandbox, apns: ApnsSender) -> None:
    sandbox.order("apns", reason="TooManyRequests", retry_after=7)
    response = await apns.push(sandbox.install("apns", TOPIC))
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")


async def test_an_order_for_the_next_pushes_counts_down(sandbox: ProviderSandbox, apns: ApnsSender) -> None:
    token = sandbox.install("apns", TOPIC)
    sandbox.order("apns", reason="InternalServerError", count=2)
    assert [(await apns.push(token)).status_code for _ in range(3)] == [500, 500, 200]


async def test_an_order_for_a_token_spares_the_others(sandbox: ProviderSandbox, apns: ApnsSender) -> None:
    alice, bob = sandbox.install("apns", TOPIC), sandbox.install("apns", TOPIC)
    order = sandbox.order("apns", reason="BadDeviceToken", token=alice)
    assert [(await apns.push(token)).status_code for token in (alice, bob, alice)] == [400, 200, 400]
    assert sandbox.cancel(order)
    assert (await apns.push(alice)).status_code == 200


async def test_an_order_for_a_token_goes_before_one_for_all(
    sandbox: ProviderSandbox, apns: ApnsSender
) -> None:
    alice = sandbox.install("apns", TOPIC)
    sandbox.order("apns", reason="InternalServerError")
    sandbox.order("apns", reason="Unregistered", token=alice)
    assert (await apns.push(alice)).status_code == 410
    sandbox.clear_orders()
    assert (await apns.push(alice)).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "NoSuchReason"},
        {"fault": "earthquake"},
        {"reason": "Shutdown", "fault": "close"},
        {},
        {"reason": "Shutdown", "count": 0},
        {"delay_ms": -1},
        {"reason": "Shutdown", "endpoint": "token"},
    ],
)
async def test_an_impossible_order_is_refused(sandbox: ProviderSandbox, fields: dict[str, object]) -> None:
    with pytest.raises(SandboxError):
        sandbox.order("apns", **fields)
