"""The two that are measured: Nightbell's Kamailio with kemi, and a Kamailio with the stock uac registrations."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from control.host import readiness, render
from control.host.files import write_private
from control.host.installation import Installation
from control.host.process import Process, Program
from control.settings import EdgeSettings, RtpengineSettings, Settings
from demo.ports import free_ports
from tests.bench.edge import BenchError
from tests.bench.registrar import processes
from tests.bench.registrar.accounts import Account, write_connections, write_uacreg
from tests.bench.registrar.processes import Use

_HERE = Path(__file__).parent
PRIVATE_MB, SHARED_MB = 256, 2048  # limits, not use: neither of the two may fail for want of memory
_MEMORY = ("-x", "fm", "-X", "fm", "-M", str(PRIVATE_MB), "-m", str(SHARED_MB))
_ROOM = ("-b", str(4 << 20))  # bytes: its bursts overflow the socket that the system would give it


class Subject(Protocol):
    """A Kamailio that keeps accounts registered."""

    name: str

    @property
    def process(self) -> Process:
        """Kamailio."""

    def prepare(self, held: Sequence[Account]) -> None:
        """Write its files: the next start begins with these accounts, and nothing is known of them."""


@dataclass
class Nightbell:
    """kamailio.cfg and kemi/ of ``repository`` as they are; ``pace`` REGISTERs a second instead of their own, when given."""

    home: Path
    address: str
    repository: Path
    pace: int = 0
    name: str = "nightbell"
    _settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        """Its settings; ports are chosen at the first look."""
        if self._settings is None:
            sip, tls, ws, wss, ng = free_ports(self.address, 5)
            park, events = free_ports("127.0.0.1", 2)
            secrets = self.home / "secrets"
            edge = EdgeSettings(
                address=self.address,
                sip_port=sip,
                tls_port=tls,
                ws_port=ws,
                wss_port=wss,
                park_port=park,
                events_port=events,
                workers=2,
                events_key_file=secrets / "events.key",
                identity_key_file=secrets / "identity.key",
            )
            relay = RtpengineSettings(ng_port=ng, control=self.address)
            self._settings = Settings(home=self.home, edge=edge, rtpengine=(relay,), push={"apns": None})
        return self._settings

    @property
    def process(self) -> Process:
        """Kamailio, with memory for many."""
        program = Installation(self.settings).kamailio.program
        return Process(dataclasses.replace(program, command=_with_memory(program.command), within=60.0))

    def prepare(self, held: Sequence[Account]) -> None:
        """Write its files: the next start begins with these accounts, and nothing is known of them."""
        settings = self.settings
        for path in settings.state_dir.glob("*.db*"):
            path.unlink()
        Installation(settings).prepare()
        configuration = render.kamailio_cfg(settings, self.repository)
        (settings.run_dir / "kamailio.cfg").write_text(configuration, encoding="utf-8")
        if self.pace:
            known = json.loads(settings.kemi_json.read_text(encoding="utf-8"))
            paces = dict.fromkeys(("registers_per_second", "registers_per_second_per_pbx"), self.pace)
            write_private(settings.kemi_json, json.dumps(known | paces))
        write_connections(settings.projection_db, held, bytes.fromhex(settings.identity_key()))


@dataclass
class StockUac:
    """The stock module; ``delay`` is its reg_random_delay in seconds."""

    home: Path
    address: str
    delay: int
    name: str = "uac"
    _port: int = 0

    @property
    def port(self) -> int:
        """Its SIP port, chosen at the first look."""
        if not self._port:
            (self._port,) = free_ports(self.address, 1)
        return self._port

    @property
    def process(self) -> Process:
        """Kamailio."""
        run = self.home / "run"
        rpc = run / "kamailio.rpc"
        command = (
            "kamailio",
            "-f",
            str(run / "kamailio.cfg"),
            "-DD",
            "-E",
            *_MEMORY,
            "-w",
            str(run),
            "-Y",
            str(run),
        )
        return Process(
            Program(
                name="kamailio (uac)",
                command=command,
                log=self.home / "log" / "kamailio.log",
                pid_file=run / "kamailio.pid",
                ready=lambda: readiness.rpc_answers(rpc),
                within=60.0,
            )
        )

    def prepare(self, held: Sequence[Account]) -> None:
        """Write its files anew."""
        run = self.home / "run"
        run.mkdir(parents=True, exist_ok=True)
        database = self.home / "uac.db"
        database.unlink(missing_ok=True)
        write_uacreg(database, held, (self.address, self.port))
        names = {
            "PEER_WORKERS": 2,
            "PEER_ADDR": self.address,
            "PEER_PORT": self.port,
            "PEER_RPC": run / "kamailio.rpc",
            "PEER_DB": database,
            "PEER_DELAY": self.delay,
        }
        lines = ["#!KAMAILIO"]
        lines += [f'#!substdef "!{name}!{value}!g"' for name, value in names.items()]
        lines.append(f'include_file "{_HERE / "peer.cfg"}"')
        (run / "kamailio.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")


def use(subject: Subject) -> Use:
    """What all its processes use. Raises BenchError when it does not run."""
    return processes.use(_group(subject))


def cpu(subject: Subject) -> float:
    """CPU seconds of all its processes. Raises BenchError when it does not run."""
    return processes.cpu(_group(subject))


def _group(subject: Subject) -> int:
    pid = subject.process.pid
    if pid is None:
        raise BenchError(f"Kamailio ({subject.name}) has ended; its log says:\n{subject.process.log_tail()}")
    return pid


def _with_memory(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command with our limits in place of its own."""
    words = list(command)
    for option, value in (("-M", PRIVATE_MB), ("-m", SHARED_MB)):
        words[words.index(option) + 1] = str(value)
    return tuple(words)
