"""The accounts that are kept registered: the same ones for Nightbell and for the stock module, in the tables each reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kemi.wire import ConnectionDoc, mask
from tests.fakes.registrar import ha1

REALM = "pbx.test"
EXPIRES = 3600  # seconds asked for; the PBX grants what it likes
_SCHEMA = Path("/usr/share/kamailio/db_sqlite")


@dataclass(frozen=True)
class Account:
    """One account at a PBX (its address and port); ``connection`` is its contact user there."""

    user: str
    connection: str
    pbx: tuple[str, int]


def numbered(count: int, addresses: Sequence[str], port: int) -> list[Account]:
    """The first ``count`` of them, spread over PBXs at these addresses."""
    return [
        Account(f"line{number:06d}", f"c{number:06d}hq7vd2kx", (addresses[number % len(addresses)], port))
        for number in range(count)
    ]


def write_connections(database: Path, held: Iterable[Account], key: bytes) -> None:
    """Put their documents where Nightbell's Kamailio loads them at its start; ``key`` masks the HA1s."""
    rows = ((account.connection, _document(account, key)) for account in held)
    with closing(sqlite3.connect(database)) as link, link:
        link.executemany(
            "INSERT INTO connection (key_name, key_type, value_type, key_value, expires) VALUES (?, 0, 0, ?, 0)",
            rows,
        )


def _document(account: Account, key: bytes) -> str:
    def masked(algorithm: str, name: str) -> str:
        return mask(ha1(account.user, REALM, algorithm), key, f"{account.connection}/{name}")

    return ConnectionDoc(
        aors=[f"sip:{account.user}@nightbell.test"],
        domain=REALM,
        user=account.user,
        auth_user=account.user,
        next_hop=f"sip:{account.pbx[0]}:{account.pbx[1]};transport=udp",
        sources=[account.pbx[0]],
        realm=REALM,
        ha1_md5=masked("MD5", "ha1_md5"),
        ha1_sha256=masked("SHA-256", "ha1_sha256"),
        expires=EXPIRES,
        revision="1",
    ).encode()


def write_uacreg(database: Path, held: Sequence[Account], local: tuple[str, int]) -> None:
    """Make the database of Kamailio's stock uac module, with the same accounts and their HA1s."""
    schema = "".join((_SCHEMA / f"{name}-create.sql").read_text("utf-8") for name in ("standard", "uac"))
    socket = f"udp:{local[0]}:{local[1]}"
    rows = [
        (
            *(account.connection, account.connection, local[0], account.user, REALM, REALM, account.user),
            *(ha1(account.user, REALM), f"sip:{account.pbx[0]}:{account.pbx[1]}", EXPIRES, socket),
        )
        for account in held
    ]
    with closing(sqlite3.connect(database)) as link, link:
        link.executescript(schema)
        link.executemany(
            "INSERT INTO uacreg (l_uuid, l_username, l_domain, r_username, r_domain, realm, auth_username,"
            " auth_ha1, auth_proxy, expires, socket) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
