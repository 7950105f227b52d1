"""Database to Kamailio: the documents of its hash tables, built from what is stored."""

from __future__ import annotations

import hashlib
import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from control.domain.aor import aor
from control.domain.connection import DEFAULT_WAIT, is_address
from control.domain.credential import ha1_md5, ha1_sha256
from control.services import outbox
from control.services.outbox import Change
from control.store.models import Connection, Device, StoredToken, User
from control.store.session import seal_of
from kemi.wire import (
    TABLE_CONNECTION,
    TABLE_DEVICE,
    TABLE_LINE,
    ConnectionDoc,
    DeviceDoc,
    LineDevice,
    LineDoc,
)

Documents = dict[str, dict[str, str]]
Addresses = Mapping[str, Sequence[str]]


def documents(session: Session, domain: str, resolve: Addresses) -> Documents:
    """All documents: {table: {key: JSON}} for the tables ``device``, ``line`` and ``connection``.

    ``resolve`` gives the IP addresses of the hosts in ``hosts()``, the preferred one first. A connection
    whose host it does not know has no document: it can neither call nor be called.
    """
    return {
        TABLE_DEVICE: _devices(session, domain, None),
        TABLE_LINE: _lines(session, domain, None),
        TABLE_CONNECTION: _connections(session, domain, resolve, None),
    }


def changed(
    session: Session, domain: str, resolve: Addresses, changes: Iterable[Change]
) -> dict[str, dict[str, str | None]]:
    """The documents that some outbox changes are about, as ``documents``; None where there is none now."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for change in changes:
        keys[change.kind].add(change.key)
    devices, users, connections = keys[outbox.DEVICE], keys[outbox.LINE], keys[outbox.CONNECTION]
    result: dict[str, dict[str, str | None]] = {
        TABLE_DEVICE: dict.fromkeys(devices),
        TABLE_LINE: dict.fromkeys(aor(user, domain) for user in users),
        TABLE_CONNECTION: dict.fromkeys(connections),
    }
    result[TABLE_DEVICE] |= _devices(session, domain, devices)
    result[TABLE_LINE] |= _lines(session, domain, users)
    result[TABLE_CONNECTION] |= _connections(session, domain, resolve, connections)
    return result


def hosts(session: Session) -> set[str]:
    """The names (not the IP addresses) that must be resolved for the connections."""
    return {host for host in session.scalars(select(Connection.host).distinct()) if not is_address(host)}


def _devices(session: Session, domain: str, only: set[str] | None) -> dict[str, str]:
    query = select(Device).options(selectinload(Device.user).selectinload(User.connections))
    if only is not None:
        query = query.where(Device.id.in_(only))
    seal = seal_of(session)
    found: dict[str, str] = {}
    for device in session.scalars(query):
        first = device.user.connections[0].id if device.user.connections else ""
        found[device.id] = DeviceDoc(
            aor=aor(device.user_id, domain),
            ha1=seal.open(device.ha1).reveal(),
            connection=device.connection_id or first,
        ).encode()
    return found


def _lines(session: Session, domain: str, only: set[str] | None) -> dict[str, str]:
    query = select(User).options(selectinload(User.devices), selectinload(User.connections))
    if only is not None:
        query = query.where(User.id.in_(only))
    # The tokens themselves are not needed here, only who has any.
    wakeable = set(session.scalars(select(StoredToken.device_id).distinct()))
    return {
        aor(user.id, domain): LineDoc(
            devices=[LineDevice(device.id, device.id in wakeable) for device in user.devices],
            # The most impatient PBX decides: its voicemail must win over our deadline, not lose to it (W8).
            wait=min((connection.wait for connection in user.connections), default=DEFAULT_WAIT),
        ).encode()
        for user in session.scalars(query)
    }


def _connections(session: Session, domain: str, resolve: Addresses, only: set[str] | None) -> dict[str, str]:
    query = select(Connection).options(selectinload(Connection.users))
    if only is not None:
        query = query.where(Connection.id.in_(only))
    found: dict[str, str] = {}
    for row in session.scalars(query):
        addresses = [row.host] if is_address(row.host) else list(resolve.get(row.host, ()))
        if addresses:
            found[row.id] = _connection(session, domain, row, addresses).encode()
    return found


def _connection(session: Session, domain: str, row: Connection, addresses: list[str]) -> ConnectionDoc:
    next_hop = _next_hop(addresses[0], row.port or (5061 if row.transport == "tls" else 5060), row.transport)
    md5 = sha256 = ""
    if row.realm:
        password = seal_of(session).open(row.password).reveal()
        md5 = ha1_md5(row.auth_user, row.realm, password)
        sha256 = ha1_sha256(row.auth_user, row.realm, password)
    return ConnectionDoc(
        aors=[aor(user.id, domain) for user in row.users],
        domain=row.domain,
        user=row.user,
        auth_user=row.auth_user,
        next_hop=next_hop,
        sources=sorted(addresses),
        realm=row.realm,
        ha1_md5=md5,
        ha1_sha256=sha256,
        expires=row.expires,
        register=row.register,
        media=row.media,
        early_ringing=row.early_ringing,
        revision=hashlib.sha256(f"{row.id} {row.revision} {next_hop}".encode()).hexdigest()[:12],
    )


def _next_hop(address: str, port: int, transport: str) -> str:
    host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    return f"sip:{host}:{port};transport={transport}"
