"""Which pushes fail by our own fault: told once to whoever raises alarms, and told when it is over."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from control.domain.push import Outcome, PushToken, PushTrouble, Verdict

TELL_EVERY = 60.0  # seconds between two tellings of one app's trouble, however often it comes and goes
APPS = 10_000  # remembered; beyond, all are forgotten, and told anew

log = structlog.get_logger("push.dispatcher")


class Misconfigured:
    """By app, or by server where each token names its own. ``tell`` gets a PushTrouble when it begins, its text when that
    changes, and one without a text when it is over.
    """

    def __init__(self, tell: Callable[[PushTrouble], None]) -> None:
        self._tell = tell
        self._told: dict[
            tuple[str, str], tuple[float, bool]
        ] = {}  # by provider, and app or server: when, and whether it stands

    def note(self, token: PushToken, verdict: Verdict, now: float) -> None:
        """Hear of one push; ``now`` is UNIX time in seconds."""
        about = token.provider, verdict.server or token.app
        at, stands = self._told.get(about, (-TELL_EVERY, True))
        if verdict.outcome is Outcome.DELIVERED:
            if stands:  # or it is not known: an alarm of an earlier incarnation may stand
                self._remember(about, at, stands=False)
                self._tell(PushTrouble(*about, now))
        elif verdict.outcome is Outcome.MISCONFIGURED and not 0 <= now - at < TELL_EVERY:
            self._remember(about, now, stands=True)
            log.error(
                "push.misconfigured",
                provider=token.provider,
                about=about[1],
                token=token.fingerprint,
                status=verdict.status,
                reason=verdict.reason,
            )
            self._tell(PushTrouble(*about, now, _text(token, verdict)))

    def _remember(self, about: tuple[str, str], at: float, *, stands: bool) -> None:
        if len(self._told) >= APPS:
            self._told.clear()
        self._told[about] = at, stands


def _text(token: PushToken, verdict: Verdict) -> str:
    said = " ".join(filter(None, (str(verdict.status or ""), verdict.reason)))
    advice = f" {verdict.advice}." if verdict.advice else ""
    if not verdict.server:
        return f"No push for the app {token.app} can succeed: {token.provider} {said}.{advice}"
    # Whoever has a device here chooses its server, so it is said which device's it is.
    asked = f"asked for the token {token.fingerprint}"
    return f"No push to {verdict.server} can succeed: {token.provider} {said}, {asked}. Others are not concerned.{advice}"
