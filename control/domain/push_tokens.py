"""Which of a device's push tokens serve what, and what becomes of them when it brings others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from control.domain.push import ALERT, APNS, VOIP, Purpose, PushToken

# A quarantined token that its device still brings after this long is tried once more: better one push in vain each day
# than a phone that never rings again because of one wrong answer.
QUARANTINE_S = 86_400.0


def serving(tokens: Iterable[PushToken], purpose: Purpose) -> tuple[PushToken, ...]:
    """The tokens to push to for a purpose.

    APNs has a token for calls and one for everything else, and none that clears what a call has shown. The other
    providers have one for all; an ``alert`` one beside it takes what is not a call.
    """
    usable = [token for token in tokens if token.quarantined_at is None]
    if purpose in (Purpose.CALL, Purpose.OVER):
        return tuple(
            t for t in usable if t.kind == VOIP and not (t.provider == APNS and purpose is Purpose.OVER)
        )
    alerts = tuple(token for token in usable if token.kind == ALERT)
    return alerts or tuple(token for token in usable if token.provider != APNS)


def after_bringing(
    old: Sequence[PushToken], brought: Iterable[PushToken], at: float, *, all_of_them: bool = False
) -> tuple[PushToken, ...]:
    """A device's tokens after it has brought some at ``at`` (UNIX seconds).

    They replace the others (P7); only those of the same provider for a use that it brought nothing for stay, unless these
    are ``all_of_them``. What was learnt of a token stays with it: its true environment, and for a day its quarantine.
    """
    new = tuple(_brought(token, old, at) for token in brought)
    uses = {(token.provider, token.kind) for token in new}
    providers = {provider for provider, _ in uses}
    kept = [t for t in old if t.provider in providers and (t.provider, t.kind) not in uses]
    return tuple(sorted([*new, *(() if all_of_them else kept)], key=lambda t: (t.provider, t.app, t.kind)))


def _brought(token: PushToken, old: Sequence[PushToken], at: float) -> PushToken:
    known = next((t for t in old if t.is_same(token)), None)
    if known is None:
        return replace(token, stored_at=at)
    since = known.quarantined_at
    return replace(
        known,
        environment=known.environment if known.corrected else token.environment,
        stored_at=max(known.stored_at, at),
        quarantined_at=None if since is not None and at - since > QUARANTINE_S else since,
    )
