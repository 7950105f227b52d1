"""Whom a call goes on to when nobody wakes: kept per person, and refused when it would lead in a circle."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.domain.errors import InvalidFieldError, NotFoundError
from control.domain.fallback import DEVICE, NUMBER, Fallback
from control.services import outbox
from control.store.models import Connection, Device, TrunkNumber, User


def of(user: User) -> Fallback:
    """What a person has chosen."""
    return Fallback(user.fallback_kind, user.fallback_target, user.fallback_connection)


def choose(session: Session, user: User, wanted: Fallback, through: Connection | None = None) -> Fallback:
    """Set a person's fallback; ``through`` is the connection for a number, the person's own if None.

    Raises NotFoundError, InvalidFieldError: for a device of the person's own, which rings anyway, and for a way that comes
    back to the person.
    """
    if wanted.kind == DEVICE:
        _check_device(session, user, wanted.target)
    elif wanted.kind == NUMBER:
        wanted = Fallback(NUMBER, wanted.target, (through or _own_connection(user)).id)
    if through is not None and wanted.kind != NUMBER:
        raise InvalidFieldError("through", "only a number is called through a connection")
    circle = _circle(session, user.id, wanted)
    if circle:
        raise InvalidFieldError(
            "fallback", f"it would lead back: {' → '.join(circle)}; choose somebody who leads elsewhere"
        )
    _set(session, user, wanted)
    return wanted


def _check_device(session: Session, user: User, device_id: str) -> None:
    device = session.get(Device, device_id)
    if device is None:
        raise NotFoundError(
            f"there is no device {device_id!r}; `nightbell device list` shows those there are"
        )
    if device.user_id == user.id:
        raise InvalidFieldError(
            "fallback", f"{device_id} is a device of {user.id}'s own: it is rung and woken anyway"
        )


def _own_connection(user: User) -> Connection:
    for connection in user.connections:
        if connection.enabled:
            return connection
    raise InvalidFieldError(
        "through", f"{user.id} has no connection; name the one that the number is to be called through"
    )


def forget(session: Session, kind: str, target: str) -> list[str]:
    """A device is removed (DEVICE), or a connection (NUMBER): the people whose fallback it was, who have none now."""
    column = User.fallback_target if kind == DEVICE else User.fallback_connection
    query = select(User).where(User.fallback_kind == kind, column == target).order_by(User.id)
    users = session.scalars(query).all()
    for user in users:
        _set(session, user, Fallback())
    return [user.id for user in users]


def _set(session: Session, user: User, wanted: Fallback) -> None:
    if of(user) == wanted:
        return
    user.fallback_kind, user.fallback_target = wanted.kind, wanted.target
    user.fallback_connection = wanted.connection
    session.flush()
    outbox.note(session, outbox.LINE, user.id)


def _circle(session: Session, start: str, wanted: Fallback) -> list[str]:
    """The way from a person back to the same person, if the new choice makes one; each step as people know it."""
    seen = {start}
    ways: list[tuple[Fallback, list[str]]] = [(wanted, [start])]
    while ways:
        fallback, way = ways.pop()
        for person in _reached(session, fallback):
            here = [*way, str(fallback), person]
            if person == start:
                return here
            if person not in seen:
                seen.add(person)
                ways.append((of(session.get_one(User, person)), here))
    return []


def _reached(session: Session, fallback: Fallback) -> Iterable[str]:
    """The people whose devices ring at the end of a fallback, as far as it can be seen from here."""
    if fallback.kind == DEVICE:
        device = session.get(Device, fallback.target)
        return [] if device is None else [device.user_id]
    if fallback.kind != NUMBER:
        return []
    through = session.get(Connection, fallback.connection)
    if through is None:
        return []
    found = set(session.scalars(select(TrunkNumber.user_id).where(TrunkNumber.number == fallback.target)))
    # An extension of the same PBX that is a connection here.
    same = select(Connection).where(
        Connection.user == fallback.target, Connection.domain == through.domain, Connection.enabled
    )
    found |= {user.id for connection in session.scalars(same) for user in connection.users}
    return sorted(found)
