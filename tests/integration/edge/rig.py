"""A whole edge agent: its own process, a database, a small Kamailio and the provider sandbox."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from control.domain.connection import ConnectionSpec
from control.domain.journal import Step
from control.domain.push import PushToken
from control.domain.secret import Secret
from control.host.tables import ensure_projection
from control.services import connections, people, tokens
from control.services.installation import initialise
from control.settings import Settings, load, render
from control.store.models import CallStep
from control.store.session import Store
from demo.sandbox import ProviderSandbox
from kemi.wire import Event, RegisterEvent, Token, WakeEvent
from tests.integration.edge.kamailio import SmallKamailio
from tests.integration.edge.waiting import until

DOMAIN = "nightbell.test"
AOR = f"sip:alice@{DOMAIN}"
TOPIC = "org.example.phone.voip"
HOLD_S = 10.0


class Rig:
    """Alice with one device and a connection; everything stopped at first."""

    def __init__(self, folder: Path, sandbox: ProviderSandbox) -> None:
        self.home = folder / "home"
        self.sandbox = sandbox
        self.home.mkdir()
        self.settings = self._write_settings()
        initialise(self.home, self.settings.database.url)
        self.store = Store.open(self.settings.database.url, self.home)
        with self.store.write() as session:
            people.add_user(session, "alice")
            device, _ = people.add_device(session, "alice", "phone", DOMAIN)
            spec = ConnectionSpec("pbx", "192.0.2.1", "1002", Secret("pa55word"), users=("alice",))
            self.device, self.connection = device.id, connections.add_connection(session, spec).id
        ensure_projection(self.settings.projection_db)
        self.kamailio = SmallKamailio(self.settings.run_dir, self.settings.projection_db)
        self.agent: subprocess.Popen[bytes] | None = None
        self._events = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._key = self.settings.events_key()

    def _write_settings(self) -> Settings:
        credentials, (host, port) = self.sandbox.credentials, self.sandbox.apns_address
        text = render(
            {
                "edge": {"domain": DOMAIN, "events_port": _free_port()},
                "push.apns": {"server": host, "port": port, "ca_file": credentials.ca_file},
                "push.apns.keys": [
                    {
                        "key_file": credentials.apns_key_file,
                        "key_id": credentials.apns_key_id,
                        "team_id": credentials.team_id,
                    }
                ],
            }
        )
        (self.home / "nightbell.toml").write_text(text)
        return load(self.home)

    async def start_agent(self) -> str:
        """Start and wait until ready; returns the incarnation's id."""
        command = [str(Path(sys.executable).with_name("nightbell")), "edge", "--home", str(self.home)]
        with self.log_file.open("ab") as log:
            self.agent = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220  a fork
        agent = self.agent

        def is_ready() -> bool:
            assert agent.poll() is None, self.log_file.read_text()
            return self.settings.edge_ready.exists() and self.boot != before

        before = self.boot
        await until(is_ready, within=20)
        return self.boot

    @property
    def log_file(self) -> Path:
        return self.settings.log_dir / "edge.log"

    @property
    def boot(self) -> str:
        try:
            return self.settings.edge_ready.read_text().strip()
        except FileNotFoundError:
            return ""

    def stop_agent(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, if it runs; its exit status."""
        if self.agent is None:
            return 0
        self.agent.send_signal(number)
        status = self.agent.wait(timeout=10)
        self.agent = None
        return status

    def close(self) -> None:
        self.stop_agent()
        self.kamailio.stop()
        self._events.close()
        self.store.close()

    def send(self, event: Event) -> None:
        """What Kamailio would say."""
        address = ("127.0.0.1", self.settings.edge.events_port)
        self._events.sendto(f"{self._key} {event.encode()}".encode(), address)

    def wake(self, call: str) -> WakeEvent:
        """A call for Alice, whose device sleeps."""
        now = time.time()
        return WakeEvent(
            ts=now,
            id=f"z9hG4bK-{call}",
            call=call,
            transaction="1:2",
            deadline=now + HOLD_S,
            connection=self.connection,
            aor=AOR,
            asleep=[self.device],
        )

    def registers(self, prid: str, calls: list[str] | None = None) -> RegisterEvent:
        """Alice's device registers with this push token."""
        return RegisterEvent(
            ts=time.time(),
            device=self.device,
            action="added",
            reply=200,
            contact=f"sip:{self.device}@192.0.2.9;pn-prid={prid}",
            expires=600,
            tokens=[list(Token("apns", TOPIC, "production", "voip", prid))],
            calls=calls or [],
        )

    def store_token(self, prid: str) -> None:
        """Into the database, as of an earlier registration."""
        with self.store.write() as session:
            tokens.store_tokens(session, self.device, [PushToken("apns", TOPIC, "production", prid)])

    def stored_tokens(self) -> list[str]:
        with self.store.read() as session:
            return [token.token for token in tokens.tokens_of(session, self.device).get(self.device, [])]

    def steps(self, call: str) -> list[Step]:
        with self.store.read() as session:
            rows = session.query(CallStep).filter_by(call=call).order_by(CallStep.at).all()
            return [
                Step(row.call, row.at, row.step, row.device, row.provider, reason=row.reason) for row in rows
            ]

    def told(self, call: str) -> list[str]:
        return [step.step for step in self.steps(call)]

    def upstream_row(self) -> str | None:
        with closing(sqlite3.connect(self.settings.projection_db)) as db:
            row = db.execute(
                "SELECT key_value FROM upstream WHERE key_name = ?", (self.connection,)
            ).fetchone()
            return None if row is None else str(row[0])

    async def document(self, table: str, key: str) -> str:
        return (await self.kamailio.table(table, key)).get(key, "")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
