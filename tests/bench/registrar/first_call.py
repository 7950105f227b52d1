"""How long after a kill -9 the first call gets through: a PBX that keeps calling, and a phone that is awake."""

from __future__ import annotations

import select
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.bench import sip
from tests.bench.edge import BenchError
from tests.bench.population import Phone, phones, settle_in
from tests.bench.sip import Credential

_EVERY = 0.05  # seconds between two attempts of the PBX
_PATIENCE = 3.0
_WAIT = 20.0  # how long the phone's line would hold a call


class FirstCall:
    """One phone and one PBX beside those that are measured."""

    def __init__(self, edge: tuple[str, int], phone_address: str, pbx_address: str) -> None:
        self._edge = edge
        self._phone_link, self._pbx_link = sip.udp(phone_address), sip.udp(pbx_address)
        self._pbx = pbx_address
        (self._phone,) = phones(1)
        self._run = 0

    def settle_in(self, database: Path) -> None:
        """Put the phone and its connection where Kamailio loads them."""
        settle_in(database, [self._phone], self._pbx, _WAIT, native=False)

    def register(self, location: Path) -> None:
        """Register the phone, and wait until Kamailio has written that down. Raises BenchError."""
        at = self._phone_link.getsockname()
        self._phone_link.sendto(sip.register(self._phone, at, None, 1), self._edge)
        challenge = sip.value(self._reply(self._phone_link), b"WWW-Authenticate")
        credential = Credential(challenge.partition(b'nonce="')[2].partition(b'"')[0])
        self._phone_link.sendto(sip.register(self._phone, at, credential, 2, 3600), self._edge)
        if sip.status(self._reply(self._phone_link)) != 200:
            raise BenchError("Kamailio refuses to register the phone that is to be called after the kill")
        deadline = time.monotonic() + _PATIENCE
        while not _is_written(location, self._phone):
            if time.monotonic() > deadline:
                raise BenchError(f"the binding of {self._phone.id} was not written to {location}")
            time.sleep(_EVERY)

    def wait(self, since: float, within: float = 60.0) -> float:
        """Call until a call is answered; seconds from ``since`` (monotonic) to the 200 at the PBX. Raises BenchError."""
        next_call = 0.0
        while (now := time.monotonic()) < since + within:
            if now >= next_call:
                self._run, next_call = self._run + 1, now + _EVERY
                self._call(sip.invite(self._phone, self._pbx_link.getsockname(), self._edge, self._run))
            for link in select.select([self._phone_link, self._pbx_link], [], [], _EVERY / 5)[0]:
                message = _receive(link)
                if link is self._phone_link and message.startswith(b"INVITE"):
                    at = self._phone_link.getsockname()
                    self._phone_link.sendto(sip.answer(message, b"200 OK", at, sdp=sip.SDP), self._edge)
                elif link is self._pbx_link and sip.status(message) == 200:
                    answered = time.monotonic() - since
                    self._end(message)
                    return answered
        raise BenchError(f"no call got through within {within:g} s after the kill")

    def close(self) -> None:
        """Close the sockets."""
        self._phone_link.close()
        self._pbx_link.close()

    def _call(self, invite: bytes) -> None:
        try:
            self._pbx_link.sendto(invite, self._edge)
        except ConnectionRefusedError:
            return  # nobody is there yet

    def _end(self, reply: bytes) -> None:
        at = self._pbx_link.getsockname()
        run = int(sip.value(reply, b"Call-ID").split(b"-")[1])
        for method in (b"ACK", b"BYE"):
            self._pbx_link.sendto(sip.in_dialog(method, reply, self._phone, at, run), self._edge)

    def _reply(self, link: socket.socket) -> bytes:
        if not select.select([link], [], [], _PATIENCE)[0]:
            raise BenchError(f"Kamailio does not answer a REGISTER within {_PATIENCE:g} s")
        return link.recv(65535)


def _receive(link: socket.socket) -> bytes:
    try:
        return link.recv(65535)
    except ConnectionRefusedError:
        return b""  # an answer of the kernel to an earlier attempt


def _is_written(location: Path, phone: Phone) -> bool:
    with closing(sqlite3.connect(f"file:{location}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM location WHERE contact LIKE ?"
        return int(database.execute(query, (f"%{phone.id}%",)).fetchone()[0]) > 0
