"""What FCM's answers mean, by ``error.details[].errorCode``, or ``error.status`` when there are no details.

Source: Firebase, "ErrorCode" of the HTTP v1 reference.
"""

from __future__ import annotations

from collections.abc import Mapping

from control.domain.push import Outcome
from control.push.outcome_table import ANY_REASON, ANY_STATUS, OutcomeTable

ACCOUNT_REFUSED = "service-account-refused"  # ours
NO_ACCOUNT_FOR_PROJECT = "no-account-for-project"  # ours

OUTCOMES = OutcomeTable(
    {
        # The app was removed, or its token replaced. The only one that deletes a token, whatever the status.
        (ANY_STATUS, "UNREGISTERED"): Outcome.TOKEN_DEAD,
        # A token that is none, or a message FCM does not take.
        (400, "INVALID_ARGUMENT"): Outcome.REJECTED,
        (400, "UNSPECIFIED_ERROR"): Outcome.REJECTED,
        (400, ANY_REASON): Outcome.REJECTED,
        # Our service account, project or API switch: an administrator has to act.
        (403, "SENDER_ID_MISMATCH"): Outcome.MISCONFIGURED,
        (401, "THIRD_PARTY_AUTH_ERROR"): Outcome.MISCONFIGURED,
        (401, ANY_REASON): Outcome.MISCONFIGURED,  # with an access token issued a moment ago
        (403, ANY_REASON): Outcome.MISCONFIGURED,  # PERMISSION_DENIED: the API is off, or another's project
        (404, ANY_REASON): Outcome.MISCONFIGURED,  # NOT_FOUND without a code: there is no such project
        # Google is busy.
        (408, ANY_REASON): Outcome.RETRY,
        (429, "QUOTA_EXCEEDED"): Outcome.RETRY,
        (429, ANY_REASON): Outcome.RETRY,
        (500, "INTERNAL"): Outcome.RETRY,
        (503, "UNAVAILABLE"): Outcome.RETRY,
    }
)

# What an administrator has to do, by FCM's word or ours.
ADVICE: Mapping[str, str] = {
    ACCOUNT_REFUSED: "Google refuses the service account: it was deleted or disabled, its key was withdrawn, or this machine's "
    "clock is wrong",
    NO_ACCOUNT_FOR_PROJECT: "No service account serves this app's project: add one to [[push.fcm.accounts]], with its "
    "project_number",
    "SENDER_ID_MISMATCH": "The app gets its tokens from another Firebase project: check the project number that it sends in "
    "pn-param, and project_number of [[push.fcm.accounts]]",
    "PERMISSION_DENIED": "Enable the Firebase Cloud Messaging API of the project, and let the service account send with it",
    "THIRD_PARTY_AUTH_ERROR": "The APNs key or the web push key in the Firebase console is missing or wrong",
    "NOT_FOUND": "There is no such Firebase project: make a new service account file",
}
