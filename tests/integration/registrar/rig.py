"""The real Kamailio with kemi in it, and the test in the edge agent's place: it writes the documents and receives the events."""

from __future__ import annotations

import select
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from control.host import rpc
from control.host.installation import Installation
from control.settings import load, render
from control.settings_table import FILE_NAME
from demo.ports import free_ports
from kemi import wire
from tests.fakes.registrar import FakeRegistrar, ha1

ADDRESS = "127.0.91.1"  # where Kamailio is
DOMAIN = "nightbell.test"
AOR = f"sip:alice@{DOMAIN}"
PATIENCE = 8.0  # seconds: silence is noticed after five

_E = TypeVar("_E", bound=wire.Event)


class Rig:
    """One edge without its agent. What waits for an event fails when it does not come."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receiver.bind(("127.0.0.1", 0))
        self._receiver.setblocking(False)
        self._events: list[wire.Event] = []  # that nobody has waited for yet
        self._durable: dict[str, wire.UpstreamDoc] = {}
        self._write_settings()
        self.settings = load(home)
        self.installation = Installation(self.settings)
        self.installation.prepare()
        self._key = self.settings.events_key().encode()
        self._identity = bytes.fromhex(self.settings.identity_key())
        self.kamailio = self.installation.kamailio

    def _write_settings(self) -> None:
        sip, tls, ws, wss = free_ports(ADDRESS, 4)
        park, ng = free_ports("127.0.0.1", 2)
        edge: dict[str, str | int | bool | Path] = {
            "domain": DOMAIN,
            "address": ADDRESS,
            "sip_port": sip,
            "tls_port": tls,
            "ws_port": ws,
            "wss_port": wss,
            "park_port": park,
            "events_port": self._receiver.getsockname()[1],
            "workers": 1,
        }
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "secrets").mkdir(exist_ok=True)
        text = render({"edge": edge, "rtpengine": [{"ng_port": ng}]})
        (self.home / FILE_NAME).write_text(text, encoding="utf-8")

    def close(self) -> None:
        """End everything."""
        self.kamailio.stop()
        self._receiver.close()

    def trust(self, authority: Path) -> None:
        """Believe certificates that this authority has signed, from the next start on."""
        with (self.settings.tls_dir / "ca.pem").open("a", encoding="ascii") as known:
            known.write(authority.read_text(encoding="ascii"))

    # -------------------------------------------------------------------------------- Kamailio's life

    def start(self) -> None:
        """Start Kamailio; it loads what was written before."""
        self.kamailio.start()
        self.event(wire.HelloEvent)

    def kill(self) -> None:
        """``kill -9`` of all its processes."""
        self.kamailio.kill()
        self._listen(0.0)

    def keep_states(self) -> None:
        """Write down what was told of the registrations, as the agent does."""
        for connection, state in self._durable.items():
            self._write_row(wire.TABLE_UPSTREAM, connection, state.encode())

    # ------------------------------------------------------------------------------------- documents

    def document(
        self, connection: str, pbx: FakeRegistrar, user: str, transport: str = "udp", **changes: Any
    ) -> wire.ConnectionDoc:
        """An account at the PBX as the agent describes it; ``realm=""`` is one that is not known yet."""
        realm = changes.get("realm", pbx.realm)
        values: dict[str, Any] = {
            "aors": [AOR],
            "domain": "pbx.example",
            "user": user,
            "auth_user": user,
            "next_hop": next_hop(pbx, transport),
            "sources": [pbx.address],
            "realm": realm,
            "expires": 60,
            "revision": "1",
        }
        if realm:
            values["ha1_md5"] = self._masked(connection, "ha1_md5", ha1(user, realm))
            values["ha1_sha256"] = self._masked(connection, "ha1_sha256", ha1(user, realm, "SHA-256"))
        return wire.ConnectionDoc(**(values | changes))

    def connect(
        self, connection: str, pbx: FakeRegistrar, user: str, transport: str = "udp", **changes: Any
    ) -> None:
        """Set a connection up, or change it; see ``document``."""
        text = self.document(connection, pbx, user, transport, **changes).encode()
        self.put(wire.TABLE_CONNECTION, connection, text)

    def wrong_password(self, connection: str, user: str) -> dict[str, str]:
        """HA1s that no PBX expects."""
        return {
            "ha1_md5": self._masked(connection, "ha1_md5", ha1(user, "guess")),
            "ha1_sha256": self._masked(connection, "ha1_sha256", ha1(user, "guess", "SHA-256")),
        }

    def plain_ha1s(self, pbx: FakeRegistrar, user: str) -> list[str]:
        """What nobody may see."""
        return [ha1(user, pbx.realm), ha1(user, pbx.realm, "SHA-256")]

    def _masked(self, connection: str, name: str, value: str) -> str:
        return wire.mask(value, self._identity, f"{connection}/{name}")

    def put(self, table: str, key: str, text: str) -> None:
        """Write a document as the agent does: to the file, and to Kamailio when it runs."""
        self._write_row(table, key, text)
        if self.kamailio.running:
            self.rpc("htable.sets", table, key, text)
            self._changed(table, key)

    def remove(self, connection: str) -> None:
        """Take a connection away."""
        with closing(sqlite3.connect(self.settings.projection_db)) as database, database:
            database.execute("DELETE FROM connection WHERE key_name = ?", (connection,))
        self.rpc("htable.delete", wire.TABLE_CONNECTION, connection)
        self._changed(wire.TABLE_CONNECTION, connection)

    def _changed(self, table: str, key: str) -> None:
        if table == wire.TABLE_CONNECTION:
            self.rpc("htable.sets", wire.TABLE_CHANGES, key, "1")

    def _write_row(self, table: str, key: str, text: str) -> None:
        with closing(sqlite3.connect(self.settings.projection_db)) as database, database:
            database.execute(f"DELETE FROM {table} WHERE key_name = ?", (key,))  # noqa: S608 - a name of ours
            database.execute(
                f"INSERT INTO {table} (key_name, key_type, value_type, key_value, expires) VALUES (?, 0, 0, ?, 0)",  # noqa: S608 - likewise
                (key, text),
            )

    def rpc(self, method: str, *parameters: str | int) -> Any:
        """Ask Kamailio. Raises RpcError."""
        return rpc.ask(self.settings.rpc_socket, method, *parameters)

    def table(self, name: str) -> dict[str, str]:
        """What a hash table of Kamailio holds."""
        slots = self.rpc("htable.dump", name)
        return {item["name"]: item["value"] for slot in slots for item in slot["slot"]}

    # ---------------------------------------------------------------------------------------- events

    def event(
        self, kind: type[_E], wanted: Callable[[_E], bool] = lambda _: True, within: float = PATIENCE
    ) -> _E:
        """The next event of that kind that is wanted; those before it have been waited for, too."""
        deadline = time.monotonic() + within
        while True:
            for number, event in enumerate(self._events):
                if isinstance(event, kind) and wanted(event):
                    del self._events[: number + 1]
                    return event
            left = deadline - time.monotonic()
            assert left > 0, f"no {kind.__name__} as wanted among {self._events}\n{self.kamailio.log_tail()}"
            self._listen(left)

    def upstream(self, connection: str, state: str, within: float = PATIENCE) -> wire.UpstreamEvent:
        """The next event that says that a connection is in that state."""
        return self.event(
            wire.UpstreamEvent, lambda e: (e.connection, e.state) == (connection, state), within
        )

    def registered(self, connection: str, within: float = PATIENCE) -> wire.UpstreamEvent:
        """The next event that says that a connection is registered."""
        return self.upstream(connection, "registered", within)

    def refreshed(self, *connections: str, within: float = PATIENCE) -> None:
        """Return once there was news of a quiet refresh of each of these connections."""
        awaited = set(connections)
        while awaited:
            event = self.event(wire.RefreshEvent, within=within)
            awaited -= {refresh.connection for refresh in event.each()}

    def until(self, condition: Callable[[], bool], within: float = PATIENCE) -> None:
        """Return once something has become true that no event tells."""
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"not within {within:g} s\n{self.kamailio.log_tail()}"
            self._listen(0.02)

    def heard(self) -> list[wire.Event]:
        """What has been told that nobody has waited for."""
        self._listen(0.0)
        events, self._events = self._events, []
        return events

    def _listen(self, within: float) -> None:
        """Take the events that are there, or the next one within some seconds."""
        select.select([self._receiver], [], [], within)
        while True:
            try:
                datagram = self._receiver.recv(65536)
            except BlockingIOError:
                return
            key, _, text = datagram.partition(b" ")
            assert key == self._key
            event = wire.decode_event(text)
            self._events.append(event)
            self._keep(event)

    def _keep(self, event: wire.Event) -> None:
        if isinstance(event, wire.UpstreamEvent) and event.durable:
            self._durable[event.connection] = wire.UpstreamDoc.decode(event.durable)
        elif isinstance(event, wire.RefreshEvent):
            for fresh in event.each():
                known = self._durable[fresh.connection]
                self._durable[fresh.connection] = replace(
                    known,
                    cseq=fresh.cseq,
                    nc=fresh.nc,
                    due=fresh.due,
                    expires_at=fresh.expires_at,
                    nonce=fresh.nonce or known.nonce,
                )


def next_hop(pbx: FakeRegistrar, transport: str = "udp") -> str:
    """Where the PBX listens, as a document says it."""
    return f"sip:{pbx.address}:{pbx.ports[transport]};transport={transport}"


def device_ha1(device: str, password: str) -> str:
    """The HA1 of somebody who registers here."""
    return ha1(device, DOMAIN, secret=password)
