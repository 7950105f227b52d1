"""What APNs' answers mean. Source: Apple, "Handling notification responses from APNs"."""

from __future__ import annotations

from collections.abc import Mapping

from control.domain.push import Outcome
from control.push.outcome_table import ANY_REASON, OutcomeTable

BAD_DEVICE_TOKEN = "BadDeviceToken"  # noqa: S105  Apple's word for a token that this environment does not know
NO_KEY_FOR_TOPIC = "no-key-for-topic"  # ours

OUTCOMES = OutcomeTable(
    {
        # The app was removed, or its token replaced. The only two that delete a token.
        (410, "Unregistered"): Outcome.TOKEN_DEAD,
        (410, "ExpiredToken"): Outcome.TOKEN_DEAD,
        # This token or this request, perhaps of the other environment: says nothing about other pushes.
        (400, BAD_DEVICE_TOKEN): Outcome.REJECTED,
        (400, "MissingDeviceToken"): Outcome.REJECTED,
        (400, "BadCollapseId"): Outcome.REJECTED,
        (400, "BadExpirationDate"): Outcome.REJECTED,
        (400, "BadMessageId"): Outcome.REJECTED,
        (400, "BadPriority"): Outcome.REJECTED,
        (400, "DuplicateHeaders"): Outcome.REJECTED,
        (400, "InvalidPushType"): Outcome.REJECTED,
        (400, "PayloadEmpty"): Outcome.REJECTED,
        (404, "BadPath"): Outcome.REJECTED,
        (405, "MethodNotAllowed"): Outcome.REJECTED,
        (410, ANY_REASON): Outcome.REJECTED,
        (413, "PayloadTooLarge"): Outcome.REJECTED,
        # Our key, team, topic or certificate: an administrator has to act.
        (400, "BadTopic"): Outcome.MISCONFIGURED,
        (400, "MissingTopic"): Outcome.MISCONFIGURED,
        (400, "TopicDisallowed"): Outcome.MISCONFIGURED,
        (400, "DeviceTokenNotForTopic"): Outcome.MISCONFIGURED,
        (403, "BadCertificate"): Outcome.MISCONFIGURED,
        (403, "BadCertificateEnvironment"): Outcome.MISCONFIGURED,
        (403, "BadEnvironmentKeyIdInToken"): Outcome.MISCONFIGURED,
        (403, "Forbidden"): Outcome.MISCONFIGURED,
        (403, "InvalidProviderToken"): Outcome.MISCONFIGURED,
        (403, "MissingProviderToken"): Outcome.MISCONFIGURED,
        (403, "UnrelatedKeyIdInToken"): Outcome.MISCONFIGURED,
        # It comes back here only when a token signed a moment ago is called old: this machine's clock is wrong.
        (403, "ExpiredProviderToken"): Outcome.MISCONFIGURED,
        (403, ANY_REASON): Outcome.MISCONFIGURED,
        # Apple is busy, or tired of this connection.
        (400, "IdleTimeout"): Outcome.RETRY,
        (429, "TooManyProviderTokenUpdates"): Outcome.RETRY,
        (429, "TooManyRequests"): Outcome.RETRY,
        (429, ANY_REASON): Outcome.RETRY,
        (500, "InternalServerError"): Outcome.RETRY,
        (503, "ServiceUnavailable"): Outcome.RETRY,
        (503, "Shutdown"): Outcome.RETRY,
    }
)

_KEY = "Check that key_file, key_id and team_id of [[push.apns.keys]] belong together, and that the key is not revoked"
_TOPIC = (
    "The app is not one of this key's team: check the bundle id that the app sends in pn-param, and the topics of "
    "[[push.apns.keys]]"
)
_CLOCK = "this machine's clock is right"

# What an administrator has to do, by Apple's reason or ours.
ADVICE: Mapping[str, str] = {
    NO_KEY_FOR_TOPIC: "No key serves this app: add its bundle id to the topics of its team's [[push.apns.keys]], or add that key",
    "BadTopic": _TOPIC,
    "MissingTopic": _TOPIC,
    "TopicDisallowed": _TOPIC,
    "DeviceTokenNotForTopic": _TOPIC,
    "BadEnvironmentKeyIdInToken": "The key is good for Apple's other environment only: make one for both at Apple's developer "
    "pages",
    "Forbidden": _KEY,
    "InvalidProviderToken": f"{_KEY}, and that {_CLOCK}",
    "MissingProviderToken": _KEY,
    "UnrelatedKeyIdInToken": _KEY,
    "ExpiredProviderToken": f"A token signed a moment ago is called too old: see to it that {_CLOCK}",
}
