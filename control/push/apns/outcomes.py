"""What APNs' answers mean. Source: Apple, "Handling notification responses from APNs"."""

from __future__ import annotations

from control.domain.push import Outcome
from control.push.outcome_table import ANY_REASON, OutcomeTable

OUTCOMES = OutcomeTable(
    {
        # The app was removed, or its token replaced. The only two that delete a token.
        (410, "Unregistered"): Outcome.TOKEN_DEAD,
        (410, "ExpiredToken"): Outcome.TOKEN_DEAD,
        # This token or this request, perhaps of the other environment: says nothing about other pushes.
        (400, "BadDeviceToken"): Outcome.REJECTED,
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
