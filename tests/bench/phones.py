"""The devices of a load, and what stands for the edge agent: one process that hears of wakes and lets phones register."""

from __future__ import annotations

import gc
import heapq
import json
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from tests.bench import sip
from tests.bench.population import Phone
from tests.bench.sip import Address, Credential

_RING = 0.02  # seconds from a device's 180 to its 200
_RETRANSMIT = 0.5  # seconds (RFC 3261, T1)
_TIMESTAMP = (
    35  # SO_TIMESTAMPNS: the kernel's time of arrival, so that this process's own delay does not count
)


@dataclass
class Heard:
    """What the devices saw of one run."""

    rung: dict[str, int] = field(default_factory=dict)  # device -> INVITEs that were not retransmissions
    unanswered: int = 0  # INVITEs that were cancelled by their caller's side
    wakes: int = 0
    events: Counter[str] = field(default_factory=Counter)
    resume: list[float] = field(default_factory=list)  # seconds from the REGISTER's 200 to the INVITE
    byes: int = 0


class Phones:
    """All devices of a run behind one socket, until told to end."""

    def __init__(
        self,
        people: Sequence[Phone],
        edge: Address,
        link: socket.socket,
        events: socket.socket,
        credential: Credential,
        count: int,
        register_on_notice: bool,
    ) -> None:
        self._people = {phone.id.encode(): phone for phone in people}
        self._edge = edge
        self._link = link
        self._events = events
        self._at: Address = link.getsockname()
        self._credential = credential
        self._count = count
        self._register_on_notice = register_on_notice
        self._woken: set[bytes] = set()
        self._branches: dict[bytes, bytes] = {}
        self._registered: dict[bytes, float] = {}
        self._acked: set[bytes] = set()
        self._due: list[tuple[float, bytes, Phone | None]] = []
        self.heard = Heard()

    def run(self, orders: Connection) -> None:
        """Work until a word comes through ``orders``; then send back what was heard."""
        gc.disable()
        self._link.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        poll = select.poll()
        for source in (self._link.fileno(), self._events.fileno(), orders.fileno()):
            poll.register(source, select.POLLIN)
        orders.send("ready")
        while True:
            self._act_on_due()
            wait = (self._due[0][0] - time.monotonic()) * 1e3 if self._due else 1000.0
            for descriptor, _ in poll.poll(max(0.0, wait)):
                if descriptor == orders.fileno():
                    orders.recv()
                    orders.send(self.heard)
                    return
                if descriptor == self._events.fileno():
                    self._drain_events()
                else:
                    self._drain_messages()

    def _act_on_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, key, phone = heapq.heappop(self._due)
            if phone is not None:
                if key not in self._registered:
                    self._register(phone)
                continue
            request = self._branches.get(key)
            if request is not None and sip.value(request, b"Call-ID") not in self._acked:
                self._link.sendto(sip.answer(request, b"200 OK", self._at, sdp=sip.SDP), self._edge)
                heapq.heappush(self._due, (now + _RETRANSMIT, key, None))

    def _drain_events(self) -> None:
        while True:
            try:
                datagram = self._events.recv(65535)
            except BlockingIOError:
                return
            kind = datagram.partition(b'"type":"')[2].partition(b'"')[0].decode()
            self.heard.events[kind] += 1
            if kind == "wake" and self._register_on_notice:
                self._wake(json.loads(datagram.partition(b" ")[2]))

    def _wake(self, event: dict[str, list[str]]) -> None:
        self.heard.wakes += 1
        for device in (name.encode() for name in event["asleep"]):
            if device not in self._woken:
                self._woken.add(device)
                self._register(self._people[device])

    def _register(self, phone: Phone) -> None:
        self._link.sendto(sip.register(phone, self._at, self._credential, self._count), self._edge)
        heapq.heappush(self._due, (time.monotonic() + _RETRANSMIT, phone.id.encode(), phone))

    def _drain_messages(self) -> None:
        while True:
            try:
                message, ancillary, _, _ = self._link.recvmsg(65535, 64)
            except BlockingIOError:
                return
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            arrived = seconds + nanoseconds / 1e9
            method = message[:4]
            if method == b"SIP/":
                self._replied(message, arrived)
            elif method == b"INVI":
                self._invited(message, arrived)
            elif method == b"ACK ":
                self._acked.add(sip.value(message, b"Call-ID"))
            elif method == b"BYE ":
                self.heard.byes += 1
                self._link.sendto(sip.answer(message, b"200 OK"), self._edge)
            elif method == b"CANC":
                self._cancelled(message)

    def _replied(self, message: bytes, arrived: float) -> None:
        if sip.status(message) == 200:
            self._registered.setdefault(sip.value(message, b"Call-ID")[2:], arrived)

    def _invited(self, message: bytes, arrived: float) -> None:
        branch = sip.branch(message)
        if branch in self._branches:
            return  # a retransmission
        self._branches[branch] = message
        device = message[11 : message.find(b"@")]
        name = device.decode()
        self.heard.rung[name] = self.heard.rung.get(name, 0) + 1
        if device in self._registered:
            self.heard.resume.append(max(0.0, arrived - self._registered[device]))
        self._link.sendto(sip.answer(message, b"180 Ringing", self._at), self._edge)
        heapq.heappush(self._due, (time.monotonic() + _RING, branch, None))

    def _cancelled(self, message: bytes) -> None:
        self._link.sendto(sip.answer(message, b"200 OK"), self._edge)
        request = self._branches.pop(sip.branch(message), None)
        if request is not None:
            self.heard.unanswered += 1
            self._link.sendto(sip.answer(request, b"487 Request Terminated"), self._edge)
