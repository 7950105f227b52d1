"""How our REGISTERs read, whole: they leave without Kamailio's transactions (RFC 3261, 10.2). Pure but for random numbers."""

from __future__ import annotations

import hashlib
import random
from typing import NamedTuple

from kemi.contact import transport_of
from kemi.registrar_state import Account
from kemi.registrar_transaction import Register

PREFIX = "nb-"  # of our Call-IDs


class _Way(NamedTuple):
    """What all REGISTERs to one next hop have in common: our socket, Via as far as the branch, Contact from the ``@`` on."""

    socket: str
    via: str
    contact: str
    reliable: bool


class Writer:
    """Writes REGISTERs that are sent from ``address``, by ``tls_port`` or ``port``.

    Call-ID and tag follow from the connection and ``key``: whatever is killed, no PBX notices.
    """

    def __init__(self, key: bytes, address: str, port: int, tls_port: int) -> None:
        self._address, self._port, self._tls_port = address, port, tls_port
        self._keyed = hashlib.blake2b(key=key, digest_size=10)
        self._ways: dict[str, _Way] = {}  # next hop -> how it is reached

    def write(self, account: Account, hop: str, now: float) -> Register:
        """The next REGISTER of an account to a next hop (a SIP URI)."""
        way = self._ways.get(hop) or self._way(hop)
        return Register(
            account.id, account.cseq, hop, way.socket, way.reliable, self._text(account, way, now)
        )

    def _way(self, hop: str) -> _Way:
        transport = transport_of(hop)
        at = f"{self._address}:{self._tls_port if transport == 'tls' else self._port}"
        way = _Way(
            socket=f"{transport}:{at}",
            via=f"Via: SIP/2.0/{transport.upper()} {at};branch=z9hG4bK",
            contact=f"@{at}>" if transport == "udp" else f"@{at};transport={transport}>",
            reliable=transport != "udp",
        )
        self._ways[hop] = way
        return way

    def _text(self, account: Account, way: _Way, now: float) -> str:
        keyed = self._keyed.copy()
        keyed.update(account.id.encode())
        identity = keyed.hexdigest()
        contacts = account.takeover.lines(now) if account.takeover else None
        if contacts is None:
            expires = 0 if account.leaving else account.expires
            contact = f"Contact: <sip:{account.id}{way.contact}\r\nExpires: {expires}\r\n"
        else:
            contact = "".join(f"{line}\r\n" for line in contacts)
        uri = f"sip:{account.domain}"
        # One number for the transaction and for the digest: a connection that went and came may begin with a CSeq it had before.
        unique = f"{random.getrandbits(64):016x}"
        credential = account.credential(uri, unique)
        if credential:
            contact += f"{credential}\r\n"
        return (
            f"REGISTER {uri} SIP/2.0\r\n"
            f"{way.via}{unique}\r\n"
            f"From: <sip:{account.user}@{account.domain}>;tag={identity[12:]}\r\n"
            f"To: <sip:{account.user}@{account.domain}>\r\n"
            f"Call-ID: {PREFIX}{account.id}-{identity[:12]}\r\n"
            f"CSeq: {account.cseq} REGISTER\r\n"
            f"{contact}"
            "Max-Forwards: 70\r\nUser-Agent: Nightbell\r\nContent-Length: 0\r\n\r\n"
        )
