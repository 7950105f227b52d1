"""People and their devices: what an administrator adds and removes."""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from control.domain.aor import checked_user_id
from control.domain.codecs import DEVICE_MEDIA, checked_codecs
from control.domain.credential import ha1_md5, new_device_id, new_password
from control.domain.dtmf import DEVICE_DTMF
from control.domain.errors import AlreadyExistsError, AmbiguousError, NotFoundError
from control.domain.fallback import DEVICE
from control.domain.secret import Secret
from control.domain.text import checked_text, one_of
from control.services import fallbacks, outbox
from control.store.models import Connection, Device, TrunkNumber, User
from control.store.session import seal_of, sealed


def add_user(session: Session, user: str, name: str = "") -> User:
    """Add a person. Raises InvalidFieldError, AlreadyExistsError."""
    checked_user_id(user)
    checked_text("name", name, maximum=200, minimum=0)
    if session.get(User, user) is not None:
        raise AlreadyExistsError(f"there is a user {user} already")
    row = User(id=user, name=name, created_at=time.time())
    session.add(row)
    outbox.note(session, outbox.LINE, user)
    return row


def get_user(session: Session, user: str) -> User:
    """A person by id. Raises NotFoundError."""
    row = session.get(User, user)
    if row is None:
        raise NotFoundError(f"there is no user {user!r}; `nightbell user list` shows those there are")
    return row


def list_users(session: Session) -> Sequence[User]:
    """All people, with devices and connections loaded."""
    options = (selectinload(User.devices), selectinload(User.connections))
    return session.scalars(select(User).options(*options).order_by(User.id)).all()


def choose_pushes(
    session: Session, user: str, *, messages: bool | None = None, voicemail: bool | None = None
) -> User:
    """Whether a message wakes the person's devices that sleep, and whether they are told of new voice messages.

    None leaves it as it is. Raises NotFoundError.
    """
    row = get_user(session, user)
    if messages is not None:
        row.push_messages = messages
    if voicemail is not None:
        row.push_voicemail = voicemail
    outbox.note(session, outbox.LINE, user)
    return row


def remove_user(session: Session, user: str) -> list[str]:
    """Remove a person with all devices; whose fallback one of them was, and have none now. Raises NotFoundError."""
    row = get_user(session, user)
    devices = [device.id for device in row.devices]
    without = [person for device in devices for person in fallbacks.forget(session, DEVICE, device)]
    connections = [connection.id for connection in row.connections]
    query = select(TrunkNumber.connection_id).where(TrunkNumber.user_id == user).distinct()
    trunks = session.scalars(query.order_by(TrunkNumber.connection_id)).all()
    session.delete(row)
    session.flush()
    outbox.note(session, outbox.DEVICE, *devices)
    outbox.note(session, outbox.TOKEN, *devices)
    outbox.note(session, outbox.CONNECTION, *connections)
    outbox.note(session, outbox.TRUNK, *trunks)
    outbox.note(session, outbox.LINE, user)
    return without


def add_device(
    session: Session, user: str, name: str, realm: str, connection: str | None = None
) -> tuple[Device, Secret]:
    """Add an app install of a person; the password is returned here and can never be read again.

    ``realm`` is the edge's domain; ``connection`` the id of the one that takes the device's outbound calls,
    the person's first if None. Raises InvalidFieldError, NotFoundError.
    """
    owner = get_user(session, user)
    checked_text("name", name, maximum=200)
    if connection is not None and session.get(Connection, connection) is None:
        raise NotFoundError(f"there is no connection {connection!r}")
    device_id, password = _free_device_id(session, user), new_password()
    device = Device(
        id=device_id,
        user_id=owner.id,
        name=name,
        ha1=sealed(session, Secret(ha1_md5(device_id, realm, password))),
        connection_id=connection,
        created_at=time.time(),
    )
    session.add(device)
    session.flush()
    outbox.note(session, outbox.DEVICE, device_id)
    outbox.note(session, outbox.LINE, user)
    return device, Secret(password)


def change_device(
    session: Session,
    device_id: str,
    *,
    media: str | None = None,
    codecs: str | None = None,
    dtmf: str | None = None,
) -> Device:
    """Say what media a device takes (one of ``DEVICE_MEDIA``), the only codecs it is offered, and how it gets keys that the PBX
    sends by INFO (one of ``DEVICE_DTMF``); None: as it is.

    Raises InvalidFieldError, NotFoundError.
    """
    row = get_device(session, device_id)
    if media is not None:
        row.media = one_of("media", media, DEVICE_MEDIA)
    if codecs is not None:
        row.codecs = ",".join(checked_codecs(codecs))
    if dtmf is not None:
        row.dtmf = one_of("dtmf", dtmf, DEVICE_DTMF)
    session.flush()
    outbox.note(session, outbox.DEVICE, device_id)
    return row


def _free_device_id(session: Session, user: str) -> str:
    while True:
        device_id = new_device_id(user)
        if session.get(Device, device_id) is None:
            return device_id


def get_device(session: Session, device_id: str) -> Device:
    """A device by id. Raises NotFoundError."""
    row = session.get(Device, device_id)
    if row is None:
        raise NotFoundError(
            f"there is no device {device_id!r}; `nightbell device list` shows those there are"
        )
    return row


def find_device(session: Session, name_or_id: str) -> Device:
    """A device by id, else by a name that no other has. Raises NotFoundError, AmbiguousError."""
    named = session.scalars(select(Device).where(Device.name == name_or_id).order_by(Device.id)).all()
    if not named or session.get(Device, name_or_id) is not None:
        return get_device(session, name_or_id)
    if len(named) > 1:
        ids = ", ".join(device.id for device in named)
        raise AmbiguousError(f"several devices are called {name_or_id!r}: name one of {ids}")
    return named[0]


def new_device_password(session: Session, device_id: str, realm: str) -> tuple[Device, Secret]:
    """Give a device a new password; the old one is worth nothing from now on. Raises NotFoundError."""
    device, password = get_device(session, device_id), new_password()
    device.ha1 = sealed(session, Secret(ha1_md5(device.id, realm, password)))
    session.flush()
    outbox.note(session, outbox.DEVICE, device.id)
    return device, Secret(password)


def device_by_password(session: Session, device_id: str, password: Secret, realm: str) -> Device | None:
    """The device whose id and password these are; None if they are nobody's."""
    device = session.get(Device, device_id)
    known = seal_of(session).open(device.ha1).reveal() if device else ""
    # Computed and compared for an unknown device, too: the answer takes the same time.
    given = ha1_md5(device_id, realm, password.reveal())
    return device if hmac.compare_digest(known.encode(), given.encode()) else None


def list_devices(session: Session) -> Sequence[Device]:
    """All devices, with their tokens loaded."""
    return session.scalars(select(Device).options(selectinload(Device.tokens)).order_by(Device.id)).all()


def remove_device(session: Session, device_id: str) -> list[str]:
    """Remove a device and its tokens; the people whose fallback it was, and who have none now. Raises NotFoundError."""
    row = get_device(session, device_id)
    without = fallbacks.forget(session, DEVICE, device_id)
    user = row.user_id
    session.delete(row)
    session.flush()
    outbox.note(session, outbox.DEVICE, device_id)
    outbox.note(session, outbox.TOKEN, device_id)
    outbox.note(session, outbox.LINE, user)
    return without
