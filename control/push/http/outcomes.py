"""What the answers of an operator's own pusher mean: the status says it all (docs/how-to/own-pusher.md)."""

from __future__ import annotations

from control.domain.push import Outcome
from control.push.outcome_table import ANY_REASON, OutcomeTable

OUTCOMES = OutcomeTable(
    {
        # The pusher knows that the app is gone.
        (410, ANY_REASON): Outcome.TOKEN_DEAD,
        # The URL or the secret is wrong: an administrator has to act.
        (401, ANY_REASON): Outcome.MISCONFIGURED,
        (403, ANY_REASON): Outcome.MISCONFIGURED,
        (404, ANY_REASON): Outcome.MISCONFIGURED,
        (405, ANY_REASON): Outcome.MISCONFIGURED,
        # Later, perhaps.
        (408, ANY_REASON): Outcome.RETRY,
        (429, ANY_REASON): Outcome.RETRY,
    }
)
