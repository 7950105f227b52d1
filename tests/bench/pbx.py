"""The PBX of a load: calls phones at a steady rate and keeps count of what became of each call."""

from __future__ import annotations

import gc
import heapq
import random
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.bench import sip
from tests.bench.population import Phone
from tests.bench.sip import Address, Credential

_RETRANSMIT = 0.5  # seconds (RFC 3261, T1)
_LINGER = 1.5  # seconds after the last answer, for what comes too late or twice
_INVITE, _AGAIN, _REGISTER, _BYE = range(4)


@dataclass
class Calls:
    """What became of the calls of one run."""

    finals: dict[int, int] = field(default_factory=dict)  # phone number -> status of its call
    repeated: int = 0  # final replies that came again
    contradicted: int = 0  # of those, with another status than the first
    retransmitted: int = 0  # INVITEs that had to be sent again
    byes: int = 0
    busy: float = 0.0  # seconds from the first call to the last answer

    @property
    def outcomes(self) -> Counter[int]:
        """How many calls ended with each status."""
        return Counter(self.finals.values())


@dataclass
class Load:
    """What to do: ``rate`` calls a second to these people, one each.

    ``crossing`` is the spread in seconds around the INVITE at which the phone registers of its own accord, from
    ``phone_link`` (the phones' own socket); None when it waits for its push. ``hang_up`` ends each call with a BYE.
    ``patience`` is how long to wait for the last answers, in seconds.
    """

    people: Sequence[Phone]
    rate: float
    run: int
    edge: Address
    credential: Credential
    count: int
    phone_link: socket.socket
    crossing: float | None = None
    hang_up: bool = False
    patience: float = 15.0


class Pbx:
    """One run of calls from one socket."""

    def __init__(self, load: Load, link: socket.socket, progress: Callable[[str], None]) -> None:
        self._load = load
        self._link = link
        self._at: Address = link.getsockname()
        self._phones_at: Address = load.phone_link.getsockname()
        self._progress = progress
        self._first = 0.0
        self._by_number = {phone.number: phone for phone in load.people}
        self._due: list[tuple[float, int, int]] = []
        self._heard: set[int] = set()
        self._hung_up: set[int] = set()
        self._answers: dict[int, bytes] = {}  # the 2xx of the calls to hang up
        self.calls = Calls()

    def run(self) -> Calls:
        """Make the calls and return once all are answered, or patience is over."""
        gc.disable()
        load, wanted = self._load, len(self._load.people)
        first = self._first = time.monotonic() + 0.2
        for position, phone in enumerate(load.people):
            at = first + position / load.rate
            self._due.append((at, _INVITE, phone.number))
            if load.crossing is not None:
                self._due.append(
                    (at + random.uniform(-load.crossing, load.crossing), _REGISTER, phone.number)
                )
        heapq.heapify(self._due)
        last = first + wanted / load.rate
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        end, told = last + load.patience, time.monotonic()
        while (now := time.monotonic()) < end:
            self._send_due(now)
            if self._complete(wanted) and end > now + _LINGER:
                end = now + _LINGER
            if now > told + 1:
                told = now
                self._progress(f"{len(self.calls.finals)} of {wanted} calls")
            wait = (self._due[0][0] - time.monotonic()) * 1e3 if self._due else 20.0
            if poll.poll(min(20.0, max(0.0, wait))):
                self._drain()
        gc.enable()
        return self.calls

    def _complete(self, wanted: int) -> bool:
        return len(self.calls.finals) == wanted and (not self._load.hang_up or self.calls.byes == wanted)

    def _send_due(self, now: float) -> None:
        load = self._load
        while self._due and self._due[0][0] <= now:
            _, what, number = heapq.heappop(self._due)
            phone = self._by_number[number]
            if what == _REGISTER:
                message = sip.register(phone, self._phones_at, load.credential, load.count)
                if number not in self.calls.finals:
                    load.phone_link.sendto(message, load.edge)
                    heapq.heappush(self._due, (now + _RETRANSMIT, _REGISTER, number))
                continue
            if what == _BYE:
                if number not in self._hung_up:
                    self._link.sendto(
                        sip.in_dialog(b"BYE", self._answers[number], phone, self._at, load.run), load.edge
                    )
                    heapq.heappush(self._due, (now + _RETRANSMIT, _BYE, number))
                continue
            if what == _AGAIN:
                if number in self._heard:
                    continue
                self.calls.retransmitted += 1
            self._link.sendto(sip.invite(phone, self._at, load.edge, load.run), load.edge)
            heapq.heappush(self._due, (now + _RETRANSMIT, _AGAIN, number))

    def _drain(self) -> None:
        while True:
            try:
                message = self._link.recv(65535)
            except BlockingIOError:
                return
            status = sip.status(message)
            run, _, number = sip.value(message, b"Call-ID")[5:].partition(b"-")
            if not status or int(run) != self._load.run:
                continue
            if sip.value(message, b"CSeq").endswith(b"INVITE"):
                self._invite_answered(message, status, int(number))
            elif status == 200 and int(number) not in self._hung_up:
                self._hung_up.add(int(number))
                self.calls.byes += 1

    def _invite_answered(self, message: bytes, status: int, number: int) -> None:
        self._heard.add(number)
        if status < 200:
            return
        load, phone = self._load, self._by_number[number]
        again = number in self.calls.finals
        if again:
            self.calls.repeated += 1
            self.calls.contradicted += self.calls.finals[number] != status
        else:
            self.calls.finals[number] = status
            self.calls.busy = time.monotonic() - self._first
        if status >= 300:
            self._link.sendto(sip.ack_refusal(message, phone, self._at, load.edge, load.run), load.edge)
            return
        self._link.sendto(sip.in_dialog(b"ACK", message, phone, self._at, load.run), load.edge)
        if load.hang_up and not again:
            self._answers[number] = message
            heapq.heappush(self._due, (0.0, _BYE, number))
