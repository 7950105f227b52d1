"""The register log: each answered REGISTER of each device."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from control.domain.text import printable
from control.store.models import Registration

# A push token is an address of the person who carries the phone; the log says only that there was one.
_TOKENS = re.compile(r"((?:pn-prid|pn-tok)=)[^;>\s]*", re.IGNORECASE)


@dataclass(frozen=True)
class Registered:
    """One answered REGISTER; the fields of ``kemi.wire.RegisterEvent``. ``at`` is UNIX time in seconds."""

    at: float
    device_id: str
    action: str
    reply: int
    reason: str = ""
    contact: str = ""
    expires: int = 0
    source: str = ""
    user_agent: str = ""
    instance: str = ""


_COLUMNS = [field.name for field in fields(Registered)]


def record(session: Session, rows: Iterable[Registered]) -> None:
    """Append to the log; push tokens in Contacts are masked (P7)."""
    values = [_values(row) for row in rows]
    if values:
        session.execute(insert(Registration), values)


def last(session: Session, device_id: str, limit: int = 20) -> Sequence[Registered]:
    """The newest entries of a device first."""
    columns = [getattr(Registration, name) for name in _COLUMNS]
    query = select(*columns).where(Registration.device_id == device_id)
    rows = session.execute(query.order_by(Registration.at.desc()).limit(limit))
    return [Registered(*row) for row in rows]


def prune(session: Session, before: float) -> int:
    """Delete entries older than a UNIX time; how many there were."""
    return int(session.execute(delete(Registration).where(Registration.at < before)).rowcount)  # type: ignore[attr-defined]


def _values(row: Registered) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _COLUMNS}
    values["contact"] = _TOKENS.sub(r"\1***", row.contact)
    limits = {"device_id": 80, "action": 16}
    return {
        name: printable(value, limits.get(name, 500)) if isinstance(value, str) else value
        for name, value in values.items()
    }
