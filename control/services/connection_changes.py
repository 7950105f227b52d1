"""Changes of a connection while it is at work: switched off and on, other values, other numbers, other passwords."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_type_hints

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.domain.connection import LOCATED_BY, REGISTERED_BY, TRUNK, ConnectionSpec
from control.domain.credential import ha1_md5, new_password
from control.domain.errors import AlreadyExistsError, InvalidFieldError
from control.domain.secret import Secret
from control.services import alarms, outbox
from control.services.connections import get_connection, note, rung_by
from control.services.people import get_user
from control.store.models import Connection, TrunkNumber
from control.store.session import seal_of, sealed

# What a person sets by other commands: whom it rings, its numbers, its inbound password.
_ELSEWHERE = ("users", "numbers", "inbound")
SETTABLE = tuple(field.name for field in fields(ConnectionSpec) if field.name not in _ELSEWHERE)
_NO = ("no", "false", "off", "0")
_YES = ("yes", "true", "on", "1")


def enable(session: Session, name: str, *, on: bool) -> bool:
    """Switch a connection on, or off: then it is signed off at its PBX, and neither calls nor is called.

    Whether that is a change. Raises NotFoundError.
    """
    row = get_connection(session, name)
    if row.enabled == on:
        return False
    row.enabled = on
    session.flush()
    if not on:
        alarms.clear(session, alarms.REGISTRATION_STOPPED, time.time(), row.id)
    note(session, row)
    return True


def retry(session: Session, name: str) -> None:
    """Have a connection registered at once, though the PBX refused it, or others, before.

    Raises InvalidFieldError when it is not one that registers, NotFoundError.
    """
    row = get_connection(session, name)
    if not row.enabled:
        raise InvalidFieldError(
            "name", f"{name} is disabled; `nightbell connection enable {name}` registers it"
        )
    if not row.register or row.strategy == TRUNK or not row.host:
        raise InvalidFieldError("name", f"{name} does not register at its PBX, so there is nothing to try")
    outbox.note(session, outbox.RETRY, row.id)


def spec_of(session: Session, row: Connection) -> ConnectionSpec:
    """A stored connection as it was described. What followed from another field follows from it again."""
    return ConnectionSpec(
        name=row.name,
        host=row.host,
        user=row.user,
        password=seal_of(session).open(row.password),
        port=row.port or None,
        transport=row.transport,
        domain="" if row.domain == row.host else row.domain,
        auth_user="" if row.auth_user == row.user else row.auth_user,
        realm=row.realm if row.realm_fixed else "",
        expires=row.expires,
        register=row.register,
        media=row.media,
        early_ringing=row.early_ringing,
        wait=row.wait,
        users=tuple(user.id for user in row.users),
        strategy=row.strategy,
        inbound=bool(row.inbound_ha1),
        outbound_proxy=row.outbound_proxy,
        codecs=row.codecs,
        dtmf=row.dtmf,
        numbers=tuple((number.number, number.user_id) for number in row.numbers),
    )


def parsed(assignments: Mapping[str, str]) -> dict[str, Any]:
    """The values of ``key=value`` texts, for ``change``. Raises InvalidFieldError naming the key."""
    hints = get_type_hints(ConnectionSpec)
    values: dict[str, Any] = {}
    for key, text in assignments.items():
        if key not in SETTABLE:
            raise InvalidFieldError(key, f"it cannot be set; what can be: {', '.join(SETTABLE)}")
        if key == "password":
            raise InvalidFieldError(key, "a password on the command line can be seen by others; see --help")
        values[key] = _value(key, text, hints[key])
    return values


def change(session: Session, name: str, values: Mapping[str, Any]) -> ConnectionSpec:
    """Give a connection other values, by the names of ConnectionSpec; the spec that results.

    It is registered anew only if one of these makes a difference to the PBX. Raises InvalidFieldError,
    AlreadyExistsError, NotFoundError.
    """
    row = get_connection(session, name)
    before = spec_of(session, row)
    after = replace(before, **values)
    differ = {f.name for f in fields(ConnectionSpec) if getattr(before, f.name) != getattr(after, f.name)}
    if "realm" in values and row.realm != after.realm:
        differ.add("realm")  # one that was learnt is to be learnt anew
    if not differ:
        return after
    if "name" in differ:
        _refuse_taken(session, after.name)
    if differ & {"realm", *LOCATED_BY}:
        row.realm, row.realm_fixed = after.realm, bool(after.realm)
    was_trunk = before.strategy == TRUNK
    _store(session, row, after)
    if differ & set(REGISTERED_BY):
        row.revision += 1
    session.flush()
    note(session, row, trunk=was_trunk)
    return after


def preview(session: Session, name: str, values: Mapping[str, Any]) -> ConnectionSpec:
    """What ``change`` would make of it. Raises InvalidFieldError, NotFoundError."""
    return replace(spec_of(session, get_connection(session, name)), **values)


def renumber(session: Session, name: str, add: tuple[tuple[str, str], ...], remove: tuple[str, ...]) -> None:
    """Give a trunk numbers, as pairs of number and user, and take numbers away.

    Raises InvalidFieldError, NotFoundError.
    """
    row = get_connection(session, name)
    before = rung_by(row)
    kept = tuple((n.number, n.user_id) for n in row.numbers if n.number not in remove)
    wanted = tuple(dict.fromkeys((*kept, *add)))
    replace(spec_of(session, row), numbers=wanted)  # checks them
    held = {(n.number, n.user_id): n for n in row.numbers}
    for pair in held.keys() - set(wanted):
        row.numbers.remove(held[pair])
    for number, user in wanted:
        if (number, user) not in held:
            row.numbers.append(TrunkNumber(number=number, user_id=get_user(session, user).id))
    session.flush()
    note(session, row, before)


def open_inbound(session: Session, name: str, realm: str) -> tuple[str, Secret]:
    """Let the PBX register here: the connection's id, by which it does, and a password that can never be read again.

    ``realm`` is the edge's domain. A password that was given before is void. Raises NotFoundError.
    """
    row = get_connection(session, name)
    password = new_password()
    row.inbound_ha1 = sealed(session, Secret(ha1_md5(row.id, realm, password)))
    session.flush()
    note(session, row)
    return row.id, Secret(password)


def close_inbound(session: Session, name: str) -> bool:
    """Let the PBX register here no more; whether it could. Raises InvalidFieldError, NotFoundError."""
    row = get_connection(session, name)
    if not row.inbound_ha1:
        return False
    replace(spec_of(session, row), inbound=False)  # one without a host needs it
    row.inbound_ha1 = ""
    session.flush()
    note(session, row)
    return True


def _store(session: Session, row: Connection, spec: ConnectionSpec) -> None:
    for name in (
        "name", "host", "transport", "user", "expires", "register", "media", "early_ringing", "wait", "strategy",
        "outbound_proxy", "codecs", "dtmf",
    ):  # fmt: skip
        setattr(row, name, getattr(spec, name))
    row.port = spec.port or 0
    row.domain, row.auth_user = spec.sip_domain, spec.digest_user
    if spec.password != seal_of(session).open(row.password):
        row.password = sealed(session, spec.password)


def _refuse_taken(session: Session, name: str) -> None:
    if session.scalar(select(Connection.id).where(Connection.name == name)) is not None:
        raise AlreadyExistsError(f"there is a connection {name!r} already")


def _value(key: str, text: str, kind: object) -> Any:
    if kind is bool:
        if text.lower() not in _YES + _NO:
            raise InvalidFieldError(key, f"{text[:40]!r} is neither yes nor no")
        return text.lower() in _YES
    if kind == int | None and text in ("", "auto"):
        return None
    if kind is str:
        return text
    try:
        return float(text) if kind is float else int(text)
    except ValueError:
        raise InvalidFieldError(key, f"{text[:40]!r} is not a number") from None
