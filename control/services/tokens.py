"""Push tokens: stored as devices bring them, dropped when a provider says that they are dead."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.domain.push import PushToken
from control.services import outbox
from control.store.models import Device, StoredToken


def store_tokens(
    session: Session, device_id: str, tokens: Iterable[PushToken], at: float | None = None
) -> bool:
    """Make these the device's tokens, in place of those it had (P7); whether anything but the time has
    changed.

    ``at`` is when the device brought them, in UNIX seconds (now if None). A device that is not there any
    more is no error: it may have been removed while its REGISTER was under way.
    """
    device = session.get(Device, device_id)
    if device is None:
        return False
    now = time.time() if at is None else at
    old = {(t.provider, t.kind, t.app): t for t in device.tokens}
    new = {(t.provider, t.kind, t.app): t for t in tokens}
    changed = old.keys() != new.keys()
    for key, token in new.items():
        row = old.get(key)
        if row is None:
            device.tokens.append(_row(device_id, token, now))
            continue
        if (row.token, row.environment) != (token.token, token.environment):
            row.token, row.environment, changed = token.token, token.environment, True
        row.stored_at = max(row.stored_at, now)
    for key in old.keys() - new.keys():
        device.tokens.remove(old[key])
    session.flush()
    _note(session, device, changed, bool(old) != bool(new))
    return changed


def drop_token(session: Session, device_id: str, token: str, unless_newer_than: float | None = None) -> bool:
    """Forget a dead token; False if there was nothing to forget.

    ``unless_newer_than`` is the UNIX time at which the provider knew it to be dead: if the device has
    brought it again since, it is alive (P2).
    """
    device = session.get(Device, device_id)
    if device is None:
        return False
    query = delete(StoredToken).where(StoredToken.device_id == device_id, StoredToken.token == token)
    if unless_newer_than is not None:
        query = query.where(StoredToken.stored_at <= unless_newer_than)
    dropped = int(session.execute(query).rowcount)  # type: ignore[attr-defined]
    session.expire(device, ["tokens"])
    _note(session, device, dropped > 0, dropped > 0 and not device.tokens)
    return dropped > 0


def tokens_of(session: Session, *device_ids: str) -> dict[str, list[PushToken]]:
    """The tokens of these devices, or of all if none is named; a device without tokens is absent."""
    query = select(StoredToken).order_by(StoredToken.device_id, StoredToken.provider, StoredToken.app)
    if device_ids:
        query = query.where(StoredToken.device_id.in_(device_ids))
    found: defaultdict[str, list[PushToken]] = defaultdict(list)
    for row in session.scalars(query):
        found[row.device_id].append(PushToken(row.provider, row.app, row.environment, row.token, row.kind))
    return dict(found)


def _row(device_id: str, token: PushToken, at: float) -> StoredToken:
    return StoredToken(
        device_id=device_id,
        provider=token.provider,
        kind=token.kind,
        app=token.app,
        environment=token.environment,
        token=token.token,
        stored_at=at,
    )


def _note(session: Session, device: Device, changed: bool, wakeable_changed: bool) -> None:
    if changed:
        outbox.note(session, outbox.TOKEN, device.id)
    if wakeable_changed:
        outbox.note(session, outbox.LINE, device.user_id)
