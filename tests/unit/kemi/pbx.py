"""The registrar's process under test, and the PBXs it registers at."""

from __future__ import annotations

import random

from kemi import registrar, wire
from kemi.registrar import Registrar
from tests.fakes.edge import CONNECTION, PBX, Edge, requests
from tests.fakes.kamailio import Sent

NOW = 1_800_000_000.0
TICK = 0.02  # s
CHALLENGE = 'WWW-Authenticate: Digest realm="asterisk", nonce="n1", algorithm=MD5, qop="auth"'


class Pbx:
    """A registrar that starts at ``now``, with what the edge's tables hold, and the far end of its REGISTERs."""

    def __init__(self, edge: Edge, now: float = NOW) -> None:
        random.seed(7)
        self.edge, self.now = edge, now
        self.copies: list[Sent] = []  # sent again because nothing was heard
        self._seen: set[str] = set()
        edge.events()
        registrar._clock = lambda: self.now
        with edge.kamailio.in_timer():
            self.registrar = Registrar(edge.node, now, lambda c: edge.kept.get(c, ""))

    def tick(self, later: float = 0.0) -> list[Sent]:
        """Time passes, the timer fires; the REGISTERs that left, ``copies`` apart."""
        self.now += later
        before = len(self.edge.kamailio.sent)
        with self.edge.kamailio.in_timer():
            self.registrar.tick(self.now)
        left = requests(self.edge.kamailio.sent[before:], "REGISTER")
        self.copies += [sent for sent in left if sent.message.get("Via") in self._seen]
        new = [sent for sent in left if sent.message.get("Via") not in self._seen]
        self._seen.update(sent.message.get("Via") for sent in new)
        return new

    def answer(self, sent: Sent, code: int, *headers: str) -> list[Sent]:
        """The PBX answers; what left at the next tick."""
        self.edge.answer(sent, code, "Because", *headers, origin=PBX)
        return self.tick(TICK)

    def accept(self, sent: Sent, expires: int = 600, *headers: str) -> list[Sent]:
        """The PBX accepts the REGISTER; what left at the next tick."""
        contact = f"Contact: {sent.message.get('Contact')};expires={expires}"
        return self.answer(sent, 200, contact, *headers)

    def step(self, later: float, expires: int = 600) -> int:
        """Time passes; whatever leaves is accepted by the PBX. How much left."""
        sent = self.tick(later)
        for register in sent:
            contact = f"Contact: {register.message.get('Contact')};expires={expires}"
            self.edge.answer(register, 200, "OK", contact, origin=PBX)
        return len(sent)

    def change(self, document: wire.ConnectionDoc | None, connection: str = CONNECTION) -> None:
        """The edge agent writes a document anew, or takes it away."""
        if document is None:
            del self.edge.table("connection")[connection]
        else:
            self.edge.put("connection", connection, document)
        self.edge.table("changes")[connection] = "1"

    def upstream(self) -> list[wire.UpstreamEvent]:
        """What was told of registrations since the last look."""
        return self.edge.events_of(wire.UpstreamEvent)

    def states(self) -> list[tuple[str, str]]:
        """The same, as state and cause."""
        return [(event.state, event.why) for event in self.upstream()]
