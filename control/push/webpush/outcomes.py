"""What the answers of browsers' push services mean, by status, and by a vendor's own word where it says more.

Sources: RFC 8030 §5 and §7.3, RFC 8292 §4.2; Mozilla, autopush, "Error Codes" (``errno N``); Apple, "Sending web push
notifications" (``reason``); Microsoft's notification service (406).
"""

from __future__ import annotations

from control.domain.push import Outcome
from control.push.outcome_table import ANY_REASON, ANY_STATUS, OutcomeTable

OUTCOMES = OutcomeTable(
    {
        # The browser has unsubscribed, or was removed: RFC 8030 says 404, all vendors say 410.
        (404, ANY_REASON): Outcome.TOKEN_DEAD,
        (410, ANY_REASON): Outcome.TOKEN_DEAD,
        # This push or this subscription.
        (400, ANY_REASON): Outcome.REJECTED,
        (413, ANY_REASON): Outcome.REJECTED,
        (400, "BadTtl"): Outcome.REJECTED,
        (400, "BadUrgency"): Outcome.REJECTED,
        (400, "BadWebPushRequest"): Outcome.REJECTED,
        (400, "BadWebPushTopic"): Outcome.REJECTED,
        # Our VAPID key, or the contact in our tokens: an administrator has to act.
        (ANY_STATUS, "VapidPkHashMismatch"): Outcome.MISCONFIGURED,
        (403, "BadJwtToken"): Outcome.MISCONFIGURED,
        (403, "BadVapidPublicKey"): Outcome.MISCONFIGURED,
        (401, ANY_REASON): Outcome.MISCONFIGURED,
        (403, ANY_REASON): Outcome.MISCONFIGURED,
        # The service is busy, or thinks that we are.
        (406, ANY_REASON): Outcome.RETRY,
        (408, ANY_REASON): Outcome.RETRY,
        (429, ANY_REASON): Outcome.RETRY,
        (500, ANY_REASON): Outcome.RETRY,
        (503, ANY_REASON): Outcome.RETRY,
    }
)
ADVICE = "If it is a browser vendor's, check push.webpush: the contact, and that the key is the one that browsers subscribed with"
REASONS = frozenset(reason for _, reason in OUTCOMES.rows)
