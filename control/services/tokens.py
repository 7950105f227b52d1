"""Push tokens: stored as devices bring them, dropped when a provider says that they are dead."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.domain.push import VOIP, Purpose, PushToken
from control.domain.push_tokens import after_bringing, serving
from control.services import outbox, registrations
from control.services.registrations import Registered
from control.store.models import Device, StoredToken

# Which rows can wake a device for a call, as ``push_tokens.serving`` has it.
WAKES = (StoredToken.kind == VOIP, StoredToken.quarantined_at.is_(None))

_ORDER = (StoredToken.provider, StoredToken.app, StoredToken.kind)


def store_tokens(
    session: Session,
    device_id: str,
    tokens: Iterable[PushToken],
    at: float | None = None,
    *,
    all_of_them: bool = False,
) -> bool:
    """Remember what a device has brought (``push_tokens.after_bringing``); whether anything but the time has changed.

    ``at`` is when the device brought them, in UNIX seconds (now if None). A token that another device had is that
    one's no more; its register log says so. A device that is not there any more is no error: it may have been removed
    while its REGISTER was under way.
    """
    device = session.get(Device, device_id)
    if device is None:
        return False
    now = time.time() if at is None else at
    brought = list(tokens)
    _take_from_others(session, device_id, brought, now)
    old = _tokens(device)
    return _become(session, device, old, after_bringing(old, brought, now, all_of_them=all_of_them))


def drop_token(
    session: Session, device_id: str, token: PushToken, unless_newer_than: float | None = None
) -> bool:
    """Forget a dead token; False if there was nothing to forget.

    ``unless_newer_than`` is the UNIX time at which the provider knew it to be dead: if the device has
    brought it again since, it is alive (P2).
    """
    return _edit(
        session,
        device_id,
        lambda t: t.is_same(token) and (unless_newer_than is None or t.stored_at <= unless_newer_than),
        lambda t: None,
    )


def quarantine(session: Session, device_id: str, token: PushToken, at: float) -> bool:
    """Keep a token that the provider knows nowhere (P2), but do not use it; False if it is not there."""
    return _edit(session, device_id, token.is_same, lambda t: replace(t, quarantined_at=at))


def correct_environment(session: Session, device_id: str, token: PushToken, environment: str) -> bool:
    """The provider has taken the token in this environment, whatever the app says (P2); False if it is not there."""
    return _edit(
        session, device_id, token.is_same, lambda t: replace(t, environment=environment, corrected=True)
    )


def tokens_of(session: Session, *device_ids: str) -> dict[str, list[PushToken]]:
    """The tokens of these devices, or of all if none is named; a device without tokens is absent."""
    query = select(StoredToken).order_by(StoredToken.device_id, *_ORDER)
    if device_ids:
        query = query.where(StoredToken.device_id.in_(device_ids))
    found: defaultdict[str, list[PushToken]] = defaultdict(list)
    for row in session.scalars(query):
        found[row.device_id].append(_token(row))
    return dict(found)


def prune(session: Session, before: float) -> int:
    """Forget the tokens that no device has brought since a UNIX time (P7); how many there were."""
    old = session.execute(
        select(StoredToken.device_id, StoredToken.stored_at).where(StoredToken.stored_at < before)
    ).all()
    for device_id in dict.fromkeys(row.device_id for row in old):
        _edit(session, device_id, lambda t: t.stored_at < before, lambda t: None)
        _log(
            session,
            device_id,
            "token-aged-out",
            "its push token has not been brought for too long",
            time.time(),
        )
    return len(old)


def _edit(
    session: Session,
    device_id: str,
    which: Callable[[PushToken], bool],
    change: Callable[[PushToken], PushToken | None],
) -> bool:
    """Change some tokens of a device, or drop those that become None; whether there were any."""
    device = session.get(Device, device_id)
    old = [] if device is None else _tokens(device)
    if device is None or not any(map(which, old)):
        return False
    new = [change(token) if which(token) else token for token in old]
    return _become(session, device, old, [token for token in new if token is not None])


def _take_from_others(session: Session, device_id: str, brought: Sequence[PushToken], at: float) -> None:
    """A token is one app install: who brings it now has it, and nobody else is rung by it (P7)."""
    digests = [token.digest for token in brought]
    query = select(StoredToken).where(StoredToken.digest.in_(digests), StoredToken.device_id != device_id)
    for row in session.scalars(query.order_by(StoredToken.device_id)).all():
        lost = _token(row)
        if _edit(session, row.device_id, lost.is_same, lambda t: None):
            reason = f"its push token {lost.fingerprint} was brought by {device_id} and wakes that device now"
            _log(session, row.device_id, "token-moved", reason, at)


def _become(session: Session, device: Device, old: Sequence[PushToken], new: Sequence[PushToken]) -> bool:
    """Make these the rows of a device, and leave word of it; whether anything but the time has changed."""
    rows = {(row.provider, row.kind, row.app): row for row in device.tokens}
    wanted = {(token.provider, token.kind, token.app): token for token in new}
    for key in rows.keys() - wanted.keys():
        device.tokens.remove(rows[key])
    for key, token in wanted.items():
        row = rows.get(key)
        if row is None:
            row = StoredToken(device_id=device.id, provider=token.provider, kind=token.kind, app=token.app)
            device.tokens.append(row)
        row.environment, row.token, row.digest = token.environment, token.token, token.digest
        row.stored_at, row.quarantined_at = token.stored_at, token.quarantined_at
        row.corrected = token.corrected
    session.flush()
    changed = set(old) != set(new)
    if changed:
        outbox.note(session, outbox.TOKEN, device.id)
    if _wakeable(old) != _wakeable(new):
        outbox.note(session, outbox.LINE, device.user_id)
    return changed


def _wakeable(tokens: Iterable[PushToken]) -> bool:
    return bool(serving(tokens, Purpose.CALL))


def _log(session: Session, device_id: str, action: str, reason: str, at: float) -> None:
    registrations.record(
        session, [Registered(at=at, device_id=device_id, action=action, reply=0, reason=reason)]
    )


def _tokens(device: Device) -> list[PushToken]:
    return sorted(map(_token, device.tokens), key=lambda t: (t.provider, t.app, t.kind))


def _token(row: StoredToken) -> PushToken:
    return PushToken(
        provider=row.provider,
        app=row.app,
        environment=row.environment,
        token=row.token,
        kind=row.kind,
        stored_at=row.stored_at,
        quarantined_at=row.quarantined_at,
        corrected=row.corrected,
    )
