"""What every documented answer means, and above all: which ones may delete a token."""

import pytest

from control.domain.push import Outcome, Verdict
from control.push.apns.outcomes import OUTCOMES as APNS
from control.push.apns.provider import verdict as apns_verdict
from control.push.apns.request import ApnsAnswer
from control.push.fcm.message import error_code, message_id
from control.push.fcm.outcomes import OUTCOMES as FCM
from control.push.outcome_table import OutcomeTable

DEAD, RETRY = Outcome.TOKEN_DEAD, Outcome.RETRY
REJECTED, MISCONFIGURED = Outcome.REJECTED, Outcome.MISCONFIGURED

APPLE = {
    REJECTED: "400 BadCollapseId,400 BadDeviceToken,400 BadExpirationDate,400 BadMessageId,400 BadPriority,"
    "400 DuplicateHeaders,400 InvalidPushType,400 MissingDeviceToken,400 PayloadEmpty,404 BadPath,"
    "405 MethodNotAllowed,413 PayloadTooLarge",
    MISCONFIGURED: "400 BadTopic,400 MissingTopic,400 TopicDisallowed,400 DeviceTokenNotForTopic,"
    "403 BadCertificate,403 BadCertificateEnvironment,403 ExpiredProviderToken,403 Forbidden,"
    "403 InvalidProviderToken,403 MissingProviderToken,403 UnrelatedKeyIdInToken,"
    "403 BadEnvironmentKeyIdInToken",
    DEAD: "410 Unregistered,410 ExpiredToken",
    RETRY: "400 IdleTimeout,429 TooManyProviderTokenUpdates,429 TooManyRequests,500 InternalServerError,"
    "503 ServiceUnavailable,503 Shutdown",
}
APPLE_ROWS = [(*row.split(" "), outcome) for outcome, rows in APPLE.items() for row in rows.split(",")]


@pytest.mark.parametrize(("status", "reason", "outcome"), APPLE_ROWS)
def test_p2_each_documented_apns_reason_has_its_outcome(status: str, reason: str, outcome: Outcome) -> None:
    assert APNS.outcome(int(status), reason) is outcome


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        (404, "UNREGISTERED", DEAD),
        (400, "UNREGISTERED", DEAD),  # the errorCode counts, not the status
        (404, "NOT_FOUND", MISCONFIGURED),
        (404, "", MISCONFIGURED),
        (400, "INVALID_ARGUMENT", REJECTED),
        (403, "SENDER_ID_MISMATCH", MISCONFIGURED),
        (403, "PERMISSION_DENIED", MISCONFIGURED),
        (401, "THIRD_PARTY_AUTH_ERROR", MISCONFIGURED),
        (401, "UNAUTHENTICATED", MISCONFIGURED),
        (429, "QUOTA_EXCEEDED", RETRY),
        (500, "INTERNAL", RETRY),
        (503, "UNAVAILABLE", RETRY),
        (502, "", RETRY),
    ],
)
def test_p3_each_fcm_error_code_has_its_outcome(status: int, reason: str, outcome: Outcome) -> None:
    assert FCM.outcome(status, reason) is outcome


@pytest.mark.parametrize("table", [APNS, FCM])
@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 405, 410, 413, 418, 429, 500, 503, 599])
@pytest.mark.parametrize("reason", ["", "SomethingNew", "unregistered"])
def test_p2_an_unlisted_answer_never_kills_a_token(table: OutcomeTable, status: int, reason: str) -> None:
    assert table.outcome(status, reason) not in {DEAD, Outcome.DELIVERED}


def test_an_unlisted_server_error_is_retried_and_an_unlisted_refusal_is_not() -> None:
    assert APNS.outcome(507, "Odd") is RETRY
    assert APNS.outcome(418, "Odd") is REJECTED


def test_p2_the_time_of_a_410_is_told_in_seconds() -> None:
    answer = ApnsAnswer("id", "410", b'{"reason":"Unregistered","timestamp":1700000000123}')
    assert apns_verdict(answer, now=0.0) == Verdict(
        DEAD, 410, "Unregistered", "id", unregistered_at=1700000000.123
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"reason":7}', b"\xff", b'{"reason":"Unregistered","timestamp":"soon"}']
)
def test_an_apns_body_of_any_kind_is_read_without_error(body: bytes) -> None:
    assert apns_verdict(ApnsAnswer("id", "400", body), now=0.0).outcome is REJECTED


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            b'{"error":{"code":404,"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.rpc.X"},'
            b'{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}',
            "UNREGISTERED",
        ),
        (b'{"error":{"code":404,"status":"NOT_FOUND"}}', "NOT_FOUND"),
        (b'{"error":{"status":"UNREGISTERED"}}', ""),
        (b'{"error":{"details":[{"errorCode":"UNREGISTERED"}]}}', ""),
        (b'{"error":{"details":{},"status":5}}', ""),
        (b'{"error":"no"}', ""),
        (b"<!DOCTYPE html>", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_p3_the_error_code_is_read_from_the_details_alone(body: bytes, code: str) -> None:
    assert error_code(body) == code


def test_the_message_name_is_the_provider_id() -> None:
    assert message_id(b'{"name":"projects/p/messages/1"}') == "projects/p/messages/1"
    assert message_id(b"oops") == ""
