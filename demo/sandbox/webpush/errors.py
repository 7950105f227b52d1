"""The errors of a browser vendor's push service, and the body they come in.

Source: Mozilla, autopush, "Error Codes". RFC 8030 names the statuses and leaves the body open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PushError:
    """An error answer: HTTP status, Mozilla's number for it, its name and text."""

    code: int
    errno: int
    error: str
    message: str

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        return {"code": self.code, "errno": self.errno, "error": self.error, "message": self.message}


# By the names that orders use.
PUSH_ERRORS: Mapping[str, PushError] = {
    "MissingCryptoKeys": PushError(400, 101, "Bad Request", "Missing necessary crypto keys"),
    "InvalidEndpoint": PushError(404, 102, "Not Found", "Invalid URL endpoint"),
    "ExpiredEndpoint": PushError(410, 103, "Gone", "Expired URL endpoint"),
    "PayloadTooLarge": PushError(413, 104, "Payload Too Large", "Data payload is too large"),
    "EndpointLost": PushError(410, 105, "Gone", "Endpoint became unavailable during request"),
    "InvalidSubscription": PushError(410, 106, "Gone", "Invalid subscription"),
    "InvalidAuthentication": PushError(401, 109, "Unauthorized", "Invalid authentication"),
    "KeyMismatch": PushError(403, 109, "Forbidden", "The VAPID key is not the subscription's"),
    "InvalidCryptoKeys": PushError(400, 110, "Bad Request", "Invalid crypto keys specified"),
    "MissingHeader": PushError(400, 111, "Bad Request", "Missing Required Header"),
    "InvalidTtl": PushError(400, 112, "Bad Request", "Invalid TTL header value"),
    "InvalidTopic": PushError(400, 113, "Bad Request", "Invalid Topic header value"),
    "BackendUnavailable": PushError(503, 201, "Service Unavailable", "Message delivery backend unavailable"),
    "TooManyRequests": PushError(
        429, 202, "Too Many Requests", "Delivery to a given subscription is too fast"
    ),
    "InternalError": PushError(500, 999, "Internal Server Error", "Unknown error"),
}
