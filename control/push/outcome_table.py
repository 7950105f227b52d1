"""What a provider's answer means, as data: (HTTP status, the provider's own word) to outcome."""

from __future__ import annotations

from collections.abc import Mapping

from control.domain.push import Outcome

ANY_STATUS = 0
ANY_REASON = ""


class OutcomeTable:
    """A lookup by (status, reason), then by reason alone, then by status alone, then by the status's class.

    What nobody has listed is never the death of a token: an unknown 5xx is worth a retry, any other is a
    refusal.
    """

    def __init__(self, rows: Mapping[tuple[int, str], Outcome]) -> None:
        self.rows = dict(rows)

    def outcome(self, status: int, reason: str) -> Outcome:
        """The outcome of an answer: ``status`` of HTTP, ``reason`` empty when the body had none."""
        if 200 <= status <= 299:
            return Outcome.DELIVERED
        for key in ((status, reason), (ANY_STATUS, reason), (status, ANY_REASON)):
            # A missing reason must not match the wildcard row of another status.
            if key != (ANY_STATUS, ANY_REASON) and (found := self.rows.get(key)) is not None:
                return found
        return Outcome.RETRY if status >= 500 else Outcome.REJECTED
