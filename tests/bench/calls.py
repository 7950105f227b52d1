"""One run of calls to sleeping phones: a PBX here, the phones in a process of their own."""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from tests.bench import sip
from tests.bench.edge import BenchError, Edge
from tests.bench.pbx import Calls, Load, Pbx
from tests.bench.phones import Heard, Phones
from tests.bench.population import Phone
from tests.bench.sip import Credential

_SETTLE = 2.5  # seconds: signed-off bindings are removed by a timer that comes each second
_PATIENCE = 3.0  # seconds for an answer
_WINDOW = (
    48  # REGISTERs under way at a time: enough to keep the workers busy, few enough not to overflow a socket
)


@dataclass(frozen=True)
class Outcome:
    """What the PBX and the phones saw of one run."""

    calls: Calls
    heard: Heard

    @property
    def lost(self) -> int:
        """Calls that did not end with an answer of the phone."""
        return sum(status != 200 for status in self.calls.finals.values()) + self.missing

    @property
    def missing(self) -> int:
        """Calls without any final reply."""
        return self.wanted - len(self.calls.finals)

    wanted: int

    @property
    def doubled(self) -> int:
        """Phones that got more than one INVITE for their one call."""
        return sum(count > 1 for count in self.heard.rung.values())


class Bench:
    """The surroundings of one edge: the phones' socket, the PBX's, and the one that events go to."""

    def __init__(self, edge: Edge, phones_address: str, pbx_address: str) -> None:
        self.edge = edge
        self.phone_link = sip.udp(phones_address)
        self.pbx_link = sip.udp(pbx_address)
        self.events = sip.udp("127.0.0.1", edge.settings.edge.events_port)
        self._count = 0

    def close(self) -> None:
        """Close the sockets."""
        for link in (self.phone_link, self.pbx_link, self.events):
            link.close()

    def credential(self, phone: Phone) -> Credential:
        """Ask for a nonce, as any phone does once. Raises BenchError."""
        self._count += 1
        at = self.phone_link.getsockname()
        self.phone_link.sendto(sip.register(phone, at, None, self._count), self.edge.sip)
        reply = self._next_reply()
        nonce = sip.value(reply, b"WWW-Authenticate").partition(b'nonce="')[2].partition(b'"')[0]
        if sip.status(reply) != 401 or not nonce:
            raise BenchError(f"{self.edge.name} did not challenge a REGISTER: {reply[:60]!r}")
        return Credential(nonce)

    def register(self, people: Sequence[Phone], credential: Credential, expires: int = 600) -> int:
        """Register all of them as fast as they are answered; returns how many 200s. Raises BenchError."""
        self._count += 1
        at = self.phone_link.getsockname()
        waiting = [sip.register(phone, at, credential, self._count, expires) for phone in reversed(people)]
        under_way, answered = 0, 0
        while waiting or under_way:
            while waiting and under_way < _WINDOW:
                self.phone_link.sendto(waiting.pop(), self.edge.sip)
                under_way += 1
            reply = self._next_reply()
            if sip.status(reply) != 200:
                raise BenchError(f"{self.edge.name} answered a REGISTER with {reply.splitlines()[0]!r}")
            under_way -= 1
            answered += 1
        return answered

    def settle(self) -> None:
        """Wait until what the phones signed off is gone from the edge's memory too, and forget what was told."""
        time.sleep(_SETTLE)
        self.drain_events()

    def drain_events(self) -> list[bytes]:
        """The events that have come meanwhile, oldest first."""
        found = []
        while select.select([self.events], [], [], 0)[0]:
            found.append(self.events.recv(65535))
        return found

    def call(
        self,
        people: Sequence[Phone],
        rate: float,
        credential: Credential,
        progress: Callable[[str], None],
        crossing: float | None = None,
        hang_up: bool = False,
    ) -> Outcome:
        """Call each of them once, ``rate`` a second. Raises BenchError when the phones' process is gone."""
        self._count += 1
        _empty(self.phone_link)
        phones = Phones(
            people, self.edge.sip, self.phone_link, self.events, credential, self._count, crossing is None
        )
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=phones.run, args=(theirs,), daemon=True)
        process.start()
        try:
            self._expect(ours)
            load = Load(
                people=people,
                rate=rate,
                run=self._count,
                edge=self.edge.sip,
                credential=credential,
                count=self._count,
                phone_link=self.phone_link,
                crossing=crossing,
                hang_up=hang_up,
            )
            calls = Pbx(load, self.pbx_link, progress).run()
            ours.send("end")
            return Outcome(calls, self._expect(ours), len(people))
        finally:
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()

    def _expect(self, ours: Connection) -> Heard:
        if not ours.poll(_PATIENCE * 5):
            raise BenchError("the phones' process does not answer")
        heard: Heard = ours.recv()
        return heard

    def _next_reply(self) -> bytes:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if select.select([self.phone_link], [], [], 0.1)[0]:
                message = self.phone_link.recv(65535)
                if sip.status(message):
                    return message
        raise BenchError(f"{self.edge.name} does not answer within {_PATIENCE:g} s")


def _empty(link: socket.socket) -> None:
    while select.select([link], [], [], 0)[0]:
        link.recv(65535)
