"""One-time links: whoever holds one makes the app that opened it a device, once, and soon."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from control.domain import phone
from control.domain.errors import GoneError, NotFoundError
from control.domain.secret import Secret
from control.domain.text import checked_number
from control.services import people
from control.store.models import Device, PhoneLink

_REMEMBERED_S = 30 * 86400.0  # for so long an old link is told apart from one that never was


@dataclass(frozen=True)
class NewLink:
    """A link that was made; the code is here and nowhere else."""

    code: Secret
    expires_at: float


def create(
    session: Session, device_id: str, minutes: int = phone.LINK_MINUTES, now: float | None = None
) -> NewLink:
    """A link for a device, in place of those not used yet. Raises NotFoundError, InvalidFieldError."""
    checked_number("minutes", minutes, 1, phone.LINK_MINUTES_MAX)
    device = people.get_device(session, device_id)
    at = time.time() if now is None else now
    session.execute(delete(PhoneLink).where(PhoneLink.expires_at < at - _REMEMBERED_S))
    unused = (PhoneLink.device_id == device.id, PhoneLink.used_at.is_(None), PhoneLink.expires_at > at)
    session.execute(update(PhoneLink).where(*unused).values(expires_at=at))
    code = phone.new_code()
    link = PhoneLink(
        digest=phone.digest_of(code), device_id=device.id, created_at=at, expires_at=at + 60 * minutes
    )
    session.add(link)
    session.flush()
    return NewLink(code, link.expires_at)


def redeem(session: Session, code: Secret, realm: str, now: float | None = None) -> tuple[Device, Secret]:
    """Use up a link: its device gets a new password, returned here and never again.

    What was set up with the old password is signed out. Raises NotFoundError, GoneError.
    """
    at = time.time() if now is None else now
    link = session.get(PhoneLink, phone.digest_of(code))
    if link is None:
        raise NotFoundError(
            "This link is not known here. Was it copied whole? Ask for a new one if it does not work."
        )
    # Two may open it at the same moment: the one whose row changes has it.
    taken = update(PhoneLink).where(PhoneLink.digest == link.digest, PhoneLink.used_at.is_(None))
    if link.used_at is not None:
        raise GoneError("This link was used already. Ask for a new one to set up another phone.")
    if link.expires_at <= at:
        raise GoneError("This link has run out, or a newer one has taken its place. Ask for a new one.")
    if session.execute(taken.values(used_at=at)).rowcount != 1:  # type: ignore[attr-defined]
        raise GoneError("This link was used already. Ask for a new one to set up another phone.")
    return people.new_device_password(session, link.device_id, realm)
