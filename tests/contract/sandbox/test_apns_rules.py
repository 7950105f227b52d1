"""Apple's conditions on a request, one by one."""

from __future__ import annotations

import pytest

from demo.sandbox.apns.rules import Request, rule
from demo.sandbox.devices import Installation

TOKEN = "ab" * 32
TOPIC = "org.example.phone.voip"
GOOD = {
    "apns-id": "123e4567-e89b-12d3-a456-4266554400a0",
    "apns-topic": TOPIC,
    "apns-push-type": "voip",
    "apns-priority": "10",
    "apns-expiration": "1700000000",
}
DEVICES = {
    TOKEN: Installation("apns", TOPIC, TOKEN),
    "cd" * 32: Installation("apns", TOPIC, "cd" * 32, removed_at=1_700_000_000.0),
    "ef" * 32: Installation("apns", "org.example.phone", "ef" * 32),
}


def reason(
    *,
    method: str = "POST",
    path: str = f"/3/device/{TOKEN}",
    body: bytes = b'{"call":"c1"}',
    repeated: bool = False,
    token_refusal: str = "",
    **changes: str | None,
) -> str:
    merged: dict[str, str | None] = {
        **GOOD,
        **{f"apns-{name.replace('_', '-')}": value for name, value in changes.items()},
    }
    headers = {name: value for name, value in merged.items() if value is not None}
    request = Request(method, path, headers, body, repeated)
    return rule(request, token_refusal, DEVICES.get).reason


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"id": None},
        {"expiration": "0"},
        {"expiration": None},
        {"priority": None},
        {"priority": "5"},
        {"collapse_id": "c" * 64},
        {"path": f"/3/device/{TOKEN.upper()}"},
        {"body": b'{"x":"' + b"x" * 5112 + b'"}'},
        {"path": f"/3/device/{'ef' * 32}", "topic": "org.example.phone", "push_type": None},
        {
            "path": f"/3/device/{'ef' * 32}",
            "topic": "org.example.phone",
            "push_type": "background",
            "priority": "5",
        },
    ],
)
def test_a_good_request_passes(changes: dict[str, str]) -> None:
    assert reason(**changes) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("MethodNotAllowed", {"method": "GET"}),
        ("BadPath", {"path": "/"}),
        ("BadPath", {"path": f"/2/device/{TOKEN}"}),
        ("BadPath", {"path": f"/3/device/{TOKEN}/x"}),
        ("MissingDeviceToken", {"path": "/3/device/"}),
        ("MissingDeviceToken", {"path": "/3/device"}),
        ("BadDeviceToken", {"path": "/3/device/zz"}),
        ("BadDeviceToken", {"path": f"/3/device/{'12' * 32}"}),
        ("DuplicateHeaders", {"repeated": True}),
        ("MissingProviderToken", {"token_refusal": "MissingProviderToken"}),
        ("BadMessageId", {"id": "17"}),
        ("BadExpirationDate", {"expiration": "tomorrow"}),
        ("BadExpirationDate", {"expiration": "-1"}),
        ("BadExpirationDate", {"expiration": ""}),
        ("BadPriority", {"priority": "7"}),
        ("BadCollapseId", {"collapse_id": "c" * 65}),
        ("MissingTopic", {"topic": None}),
        ("BadTopic", {"topic": "org example"}),
        ("InvalidPushType", {"push_type": "carrier-pigeon"}),
        ("InvalidPushType", {"push_type": "alert"}),
        ("InvalidPushType", {"topic": "org.example.phone"}),
        (
            "BadPriority",
            {"path": f"/3/device/{'ef' * 32}", "topic": "org.example.phone", "push_type": "background"},
        ),
        ("DeviceTokenNotForTopic", {"topic": "org.example.other.voip"}),
        ("PayloadEmpty", {"body": b""}),
        ("PayloadEmpty", {"body": b"{}"}),
        ("PayloadEmpty", {"body": b"[1]"}),
        ("PayloadEmpty", {"body": b"\xff"}),
        ("PayloadTooLarge", {"body": b'{"x":"' + b"x" * 5113 + b'"}'}),
        (
            "PayloadTooLarge",
            {
                "path": f"/3/device/{'ef' * 32}",
                "topic": "org.example.phone",
                "push_type": "alert",
                "body": b'{"x":"' + b"x" * 4089 + b'"}',
            },
        ),
        ("Unregistered", {"path": f"/3/device/{'cd' * 32}"}),
    ],
)
def test_a_wrong_request_is_refused_for_apples_reason(expected: str, changes: dict[str, str]) -> None:
    assert reason(**changes) == expected  # type: ignore[arg-type]
