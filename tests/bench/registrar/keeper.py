"""Keeps the registrar's durable state as the edge agent does, in a process of its own: events in, table ``upstream`` out."""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from control.edge.projection_db import ProjectionDb
from kemi.wire import Event, RefreshEvent, UpstreamDoc, UpstreamEvent, decode_event
from tests.bench import sip
from tests.bench.edge import BenchError

_BATCH = 0.1  # seconds between two transactions, as the agent's recorder
_PATIENCE = 20.0


class Keeper:
    """Receives on the events port and writes, from ``start`` to ``stop``."""

    def __init__(self, database: Path, port: int) -> None:
        self._database, self._port = database, port
        context = multiprocessing.get_context("fork")
        self._ours, self._theirs = context.Pipe()
        self._process = context.Process(target=self._run, args=(self._theirs,), daemon=True)

    def start(self) -> None:
        """Return once it listens. Raises BenchError."""
        self._process.start()
        self._theirs.close()
        if not self._ours.poll(_PATIENCE):
            raise BenchError("the process that keeps the durable state did not start")
        self._ours.recv()

    def count(self) -> int:
        """How many events of registrations it has written. Raises BenchError."""
        self._ours.send("count")
        if not self._ours.poll(_PATIENCE):
            raise BenchError("the process that keeps the durable state does not answer")
        return int(self._ours.recv())

    def stop(self) -> None:
        """End it."""
        self._ours.close()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()

    def _run(self, orders: Connection) -> None:
        self._ours.close()
        link = sip.udp("127.0.0.1", self._port)
        database, states = ProjectionDb(self._database), States()
        orders.send("ready")
        written, last = 0, time.monotonic()
        while True:
            readable = select.select([link.fileno(), orders.fileno()], [], [], _BATCH)[0]
            ordered = orders.fileno() in readable
            if link.fileno() in readable:
                _drain(link, states)
            if states.fresh and (ordered or time.monotonic() - last >= _BATCH):
                database.keep_upstream(states.fresh)
                written, last = written + len(states.fresh), time.monotonic()
                states.fresh = {}
            if ordered:
                try:
                    orders.recv()
                except EOFError:
                    break
                orders.send(written)
        database.close()
        link.close()


class States:
    """The durable state of each registration as the events tell it; ``fresh`` is what was not written yet."""

    def __init__(self) -> None:
        self.fresh: dict[str, str] = {}
        self._known: dict[str, UpstreamDoc] = {}

    def take(self, event: Event) -> None:
        """Learn from one event."""
        if isinstance(event, UpstreamEvent) and event.durable:
            self._known[event.connection] = UpstreamDoc.decode(event.durable)
            self.fresh[event.connection] = event.durable
        elif isinstance(event, RefreshEvent):
            for refresh in event.each():
                known = self._known[refresh.connection]
                document = replace(
                    known,
                    cseq=refresh.cseq,
                    nc=refresh.nc,
                    due=refresh.due,
                    expires_at=refresh.expires_at,
                    nonce=refresh.nonce or known.nonce,
                )
                self._known[refresh.connection] = document
                self.fresh[refresh.connection] = document.encode()


def _drain(link: socket.socket, states: States) -> None:
    for _ in range(5000):
        try:
            datagram = link.recv(65535)
        except BlockingIOError:
            return
        states.take(decode_event(datagram.partition(b" ")[2]))
