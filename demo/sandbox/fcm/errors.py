"""Google's errors: the FCM error codes and the body they come in.

Sources: firebase.google.com, "ErrorCode" of the FCM HTTP v1 reference and "FCM error codes";
cloud.google.com/apis/design/errors for the envelope and its canonical statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True, slots=True)
class GoogleError:
    """An error answer: HTTP ``code``, canonical ``status``, text, and the typed details."""

    code: int
    status: str
    message: str
    details: tuple[dict[str, Any], ...] = field(default=())

    @property
    def reason(self) -> str:
        """The FCM error code if the details have one, else the canonical status."""
        codes = (detail["errorCode"] for detail in self.details if detail["@type"] == FCM_ERROR)
        return str(next(codes, self.status))

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}


def _fcm(error_code: str, code: int, status: str, message: str) -> GoogleError:
    return GoogleError(code, status, message, ({"@type": FCM_ERROR, "errorCode": error_code},))


FCM_ERRORS: Mapping[str, GoogleError] = {
    "UNSPECIFIED_ERROR": _fcm("UNSPECIFIED_ERROR", 500, "UNKNOWN", "Unknown error."),
    "INVALID_ARGUMENT": _fcm(
        "INVALID_ARGUMENT",
        400,
        "INVALID_ARGUMENT",
        "The registration token is not a valid FCM registration token",
    ),
    "UNREGISTERED": _fcm("UNREGISTERED", 404, "NOT_FOUND", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": _fcm("SENDER_ID_MISMATCH", 403, "PERMISSION_DENIED", "SenderId mismatch"),
    "QUOTA_EXCEEDED": _fcm(
        "QUOTA_EXCEEDED", 429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Messages sent'."
    ),
    "UNAVAILABLE": _fcm("UNAVAILABLE", 503, "UNAVAILABLE", "The service is currently unavailable."),
    "INTERNAL": _fcm("INTERNAL", 500, "INTERNAL", "Internal error encountered."),
    "THIRD_PARTY_AUTH_ERROR": _fcm(
        "THIRD_PARTY_AUTH_ERROR", 401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"
    ),
}

# RFC 6749 §5.2 and what Google's token endpoint says; HTTP status of each.
OAUTH_ERRORS: Mapping[str, int] = {
    "invalid_request": 400,
    "invalid_grant": 400,
    "invalid_scope": 400,
    "unsupported_grant_type": 400,
    "unauthorized_client": 401,
    "invalid_client": 401,
    "internal_failure": 500,
    "temporarily_unavailable": 503,
}


def invalid_field(name: str, description: str) -> GoogleError:
    """A 400 that names the field, as Google answers a malformed message: it carries no FCM error code."""
    violation = {"field": name, "description": description}
    detail = {"@type": BAD_REQUEST, "fieldViolations": [violation]}
    return GoogleError(400, "INVALID_ARGUMENT", description, (detail,))


def unauthenticated(reason: str) -> GoogleError:
    """A 401 for a missing, wrong or outdated access token; ``reason`` as in google.rpc.ErrorInfo."""
    detail = {"@type": ERROR_INFO, "reason": reason, "domain": "googleapis.com"}
    text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
    return GoogleError(401, "UNAUTHENTICATED", text, (detail,))


def wrong_project(project: str) -> GoogleError:
    """A 403 for a project the credentials have no right to."""
    return GoogleError(
        403,
        "PERMISSION_DENIED",
        "Permission 'cloudmessaging.messages.create' denied on resource "
        f"'//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not exist).",
    )
