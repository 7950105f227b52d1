"""Who lives on a measured edge: numbered people, each with one device and one connection of their own."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from kemi.wire import ConnectionDoc, DeviceDoc, LineDevice, LineDoc

DOMAIN = "nightbell.test"
# The native peer reads these; the same facts as the documents, in the form its language reads best.
_NATIVE_TABLES = ("n_ha1", "n_user", "n_connection", "n_line")


@dataclass(frozen=True)
class Phone:
    """One device: number, id (also its digest username), its owner's user name, HA1, and its connection's id."""

    number: int
    id: str
    user: str
    connection: str
    ha1: str = field(repr=False)


def phones(count: int) -> list[Phone]:
    """The first ``count`` devices."""
    return [_phone(number) for number in range(count)]


def _phone(number: int) -> Phone:
    device = f"phone-{number:06d}-k7f3qd"
    # MD5 is what SIP digest is made of (RFC 3261, 22.4).
    ha1 = hashlib.md5(f"{device}:{DOMAIN}:secret-{number}".encode(), usedforsecurity=False).hexdigest()
    return Phone(number, device, f"user{number:06d}", f"c{number:06d}x9wq2m", ha1)


def settle_in(
    database: Path,
    people: Iterable[Phone],
    pbx: str,
    wait: float,
    native: bool,
    relayed: Sequence[str] | None = None,
) -> None:
    """Write the people's documents where Kamailio loads them at its start.

    ``pbx`` is the address calls come from; ``wait`` how long a call is held, in seconds; ``relayed``: see Edge.start.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        rows = [row for phone in people for row in _rows(phone, pbx, wait, native, relayed)]
        if native:
            for table in _NATIVE_TABLES:
                connection.execute(_TABLE.format(name=table))
                connection.execute("INSERT INTO version (table_name, table_version) VALUES (?, 2)", (table,))
        for table, key, value in rows:
            connection.execute(_ROW.format(name=table), (key, value))


_TABLE = (
    "CREATE TABLE {name} (id INTEGER PRIMARY KEY NOT NULL, key_name VARCHAR(256) NOT NULL, key_type INTEGER NOT NULL,"
    " value_type INTEGER NOT NULL, key_value VARCHAR(512) NOT NULL, expires INTEGER NOT NULL)"
)
_ROW = "INSERT INTO {name} (key_name, key_type, value_type, key_value, expires) VALUES (?, 0, 0, ?, 0)"


def _rows(
    phone: Phone, pbx: str, wait: float, native: bool, relayed: Sequence[str] | None
) -> list[tuple[str, str, str]]:
    aor = f"sip:{phone.user}@{DOMAIN}"
    if native:
        return [
            ("n_ha1", phone.id, phone.ha1),
            ("n_user", phone.id, phone.user),
            ("n_connection", phone.connection, f"{pbx} direct {aor}"),
            ("n_line", aor, f"{wait:g} {phone.id}:1"),
        ]
    connection = ConnectionDoc(
        aors=[aor],
        domain="pbx.test",
        user=phone.user,
        auth_user=phone.user,
        next_hop=f"sip:{pbx}:5060;transport=udp",
        sources=[pbx],
        register=False,
        media="direct" if relayed is None else "relay",
    )
    return [
        ("device", phone.id, _device(DeviceDoc(aor, phone.ha1, phone.connection), relayed)),
        ("line", aor, LineDoc([LineDevice(phone.id, push=True)], wait).encode()),
        ("connection", phone.connection, connection.encode()),
    ]


def _device(document: DeviceDoc, codecs: Sequence[str] | None) -> str:
    return json.dumps(json.loads(document.encode()) | {"codecs": list(codecs or ())})
