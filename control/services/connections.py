"""Connections: the accounts at PBXs, and what the PBX has taught us of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from control.domain.connection import TRUNK, ConnectionSpec
from control.domain.credential import new_connection_id
from control.domain.errors import AlreadyExistsError, InvalidFieldError, NotFoundError
from control.domain.fallback import NUMBER
from control.domain.text import printable
from control.services import alarms, fallbacks, outbox
from control.services.people import get_user
from control.store.models import Connection, Device, TrunkNumber
from control.store.session import sealed


def add_connection(session: Session, spec: ConnectionSpec) -> Connection:
    """Add an account at a PBX; its password is sealed. Raises AlreadyExistsError, NotFoundError (a user)."""
    if session.scalar(select(Connection.id).where(Connection.name == spec.name)) is not None:
        raise AlreadyExistsError(f"there is a connection {spec.name!r} already")
    row = Connection(
        id=new_connection_id(),
        name=spec.name,
        host=spec.host,
        port=spec.port or 0,
        transport=spec.transport,
        domain=spec.sip_domain,
        user=spec.user,
        auth_user=spec.digest_user,
        password=sealed(session, spec.password),
        realm=spec.realm,
        realm_fixed=bool(spec.realm),
        expires=spec.expires,
        register=spec.register,
        media=spec.media,
        early_ringing=spec.early_ringing,
        wait=spec.wait,
        strategy=spec.strategy,
        outbound_proxy=spec.outbound_proxy,
        codecs=spec.codecs,
        dtmf=spec.dtmf,
        inbound_ha1="",
        enabled=True,
        revision=1,
        created_at=time.time(),
        users=[get_user(session, user) for user in dict.fromkeys(spec.users)],
        numbers=[
            TrunkNumber(number=number, user_id=get_user(session, user).id)
            for number, user in dict.fromkeys(spec.numbers)
        ],
    )
    session.add(row)
    session.flush()
    note(session, row)
    return row


def get_connection(session: Session, name_or_id: str) -> Connection:
    """A connection by name or id. Raises NotFoundError."""
    query = select(Connection).where((Connection.name == name_or_id) | (Connection.id == name_or_id))
    row = session.scalars(query.order_by(Connection.id == name_or_id)).first()
    if row is None:
        raise NotFoundError(
            f"there is no connection {name_or_id!r}; `nightbell connection list` shows those there are"
        )
    return row


def list_connections(session: Session) -> Sequence[Connection]:
    """All connections, with the people they ring loaded."""
    options = (selectinload(Connection.users), selectinload(Connection.numbers))
    return session.scalars(select(Connection).options(*options).order_by(Connection.name)).all()


def assign(session: Session, connection_id: str, users: Sequence[str]) -> None:
    """Make calls of this connection ring these people, instead of those they rang. Raises NotFoundError."""
    row = get_connection(session, connection_id)
    before = rung_by(row)
    row.users = [get_user(session, user) for user in dict.fromkeys(users)]
    session.flush()
    note(session, row, before)


def remove_connection(session: Session, name_or_id: str) -> list[str]:
    """Remove a connection. Kamailio's registrar, which holds all it needs to, then unregisters it at the PBX
    (R6).

    Returns the people whose fallback went through it, and who have none now. Raises NotFoundError.
    """
    row = get_connection(session, name_or_id)
    without = fallbacks.forget(session, NUMBER, row.id)
    users = rung_by(row)
    named = session.scalars(select(Device.id).where(Device.connection_id == row.id)).all()
    session.delete(row)
    session.flush()
    alarms.clear(session, alarms.REGISTRATION_STOPPED, time.time(), row.id)
    outbox.note(session, outbox.CONNECTION, row.id)
    if row.strategy == TRUNK:
        outbox.note(session, outbox.TRUNK, row.id)
    outbox.note(session, outbox.DEVICE, *sorted({*named, *_devices_of(session, users)}))
    outbox.note(session, outbox.LINE, *sorted(users))
    return without


def learn_realm(session: Session, connection_id: str, realm: str) -> bool:
    """Keep the realm that the PBX challenged with first; whether it is news.

    Later ones are somebody else's, or the PBX was renamed: a person must say so (S7). A connection that was removed
    meanwhile is no error.
    """
    row = session.get(Connection, connection_id)
    if row is None or row.realm or not realm:
        return False
    if printable(realm, 128) != realm or any(mark in realm for mark in ('"', "\\", "!!")):
        raise InvalidFieldError("realm", "the PBX challenged with a realm that cannot be answered safely")
    row.realm = realm
    session.flush()
    outbox.note(session, outbox.CONNECTION, connection_id)
    return True


def rung_by(row: Connection) -> set[str]:
    """The people whom calls of a connection ring, by whatever number."""
    return {user.id for user in row.users} | {number.user_id for number in row.numbers}


def note(session: Session, row: Connection, also: set[str] | None = None, *, trunk: bool = False) -> None:
    """Leave word of a changed connection, and of the people it rings or (``also``) rang; ``trunk``: it was one."""
    users = rung_by(row) | (also or set())
    outbox.note(session, outbox.CONNECTION, row.id)
    if trunk or row.strategy == TRUNK:
        outbox.note(session, outbox.TRUNK, row.id)
    outbox.note(session, outbox.DEVICE, *_devices_of(session, users))
    outbox.note(session, outbox.LINE, *sorted(users))


def _devices_of(session: Session, users: set[str]) -> Sequence[str]:
    return session.scalars(select(Device.id).where(Device.user_id.in_(users)).order_by(Device.id)).all()
