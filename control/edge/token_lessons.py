"""What a provider's verdict teaches about a token (P2): dead, of the other environment, or known nowhere."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from control.domain.push import Outcome, PushToken, Verdict
from control.edge.recorder import TokenCorrected, TokenDied, TokenQuarantined
from control.edge.tokens import TokenBook

log = structlog.get_logger(__name__)

_WORDS = {TokenDied: "token-dead", TokenQuarantined: "token-quarantined", TokenCorrected: "token-corrected"}


Lesson = TokenCorrected | TokenDied | TokenQuarantined


class TokenLessons:
    """Changes the token book at once; ``remember`` gets what the database is to know. ``now`` is UNIX time in seconds."""

    def __init__(
        self, tokens: TokenBook, remember: Callable[[Lesson], None], now: Callable[[], float]
    ) -> None:
        self._tokens = tokens
        self._remember = remember
        self._now = now

    def learn(self, device: str, token: PushToken, verdict: Verdict) -> None:
        """Take note of what came of a push to a device's token."""
        change = self._change(device, token, verdict)
        if change is not None and change.change:
            word = _WORDS[type(change)]
            log.info(word, device=device, provider=token.provider, token=token.fingerprint)
            self._remember(change)

    def _change(self, device: str, token: PushToken, verdict: Verdict) -> Lesson | None:
        """What was learnt; its number is 0 if that was known."""
        if verdict.outcome is Outcome.TOKEN_DEAD:
            known_at = verdict.unregistered_at
            return TokenDied(device, token, self._tokens.drop(device, token, known_at), known_at)
        if verdict.quarantine:
            now = self._now()
            return TokenQuarantined(device, token, self._tokens.quarantine(device, token, now), now)
        if verdict.outcome is Outcome.DELIVERED and verdict.environment:
            number = self._tokens.correct_environment(device, token, verdict.environment)
            return TokenCorrected(device, token, number, verdict.environment)
        return None
