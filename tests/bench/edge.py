"""A real Kamailio to measure, in a folder of its own: with kemi, or with the native peer in its place."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from control.host import render, rpc
from control.host.installation import Installation
from control.host.process import Process
from control.settings import EdgeSettings, RtpengineSettings, Settings
from demo.ports import free_ports
from tests.bench.population import DOMAIN, Phone, settle_in

HERE = Path(__file__).parent
# What makes kamailio.cfg run kemi; without these lines it is the peer's configuration.
_KEMI_ONLY = re.compile(r"app_python3|^cfgengine|^kemi\.|event_callback|timer=registrar;route")
# rtpengine is not needed here; a readiness probe that came before its time has gone without its answer.
_HARMLESS = re.compile(r"rtpengine|jsonrpc_dgram_send_data.*err: 2 ")
_BAD_LOG = re.compile(
    r"segfault|signal 11|core dumped|CRITICAL|BUG|Traceback|no more (?:shared|private) memory"
)
_ERROR = re.compile(r"\b(?:ERROR|ALERT)\b")


class BenchError(Exception):
    """A measurement cannot be made, or what it measured is broken; the text says which and why."""

    id = "bench"


@dataclass
class Edge:
    """One Kamailio. ``repository`` is where kamailio.cfg and kemi/ are taken from."""

    name: str
    home: Path
    address: str
    native: bool
    repository: Path
    workers: int = 2
    _settings: Settings | None = field(default=None, init=False)
    _pids: frozenset[int] = field(default=frozenset(), init=False)
    _kinds: dict[int, str] = field(default_factory=dict, init=False)
    _idle: float = field(default=0.0, init=False)  # CPU seconds a second when nobody calls

    def start(
        self, people: Iterable[Phone], pbx: str, wait: float, relayed: Sequence[str] | None = None
    ) -> None:
        """Write its files and start it; returns when it answers. Raises HostError, BenchError.

        ``relayed``: media goes through rtpengine, and devices are offered these codecs alone (empty: any).
        """
        installation = Installation(self.settings)
        installation.prepare()
        (self.settings.run_dir / "kamailio.cfg").write_text(self._configuration(), encoding="utf-8")
        settle_in(self.settings.projection_db, people, pbx, wait, self.native, relayed)
        self.process.start()
        listed = iter(rpc.ask(self.settings.rpc_socket, "core.ps"))
        self._kinds = {int(pid): str(kind) for pid, kind in zip(listed, listed, strict=True)}

    def stop(self) -> None:
        """Stop it. Raises StopError."""
        self.process.stop()

    @property
    def settings(self) -> Settings:
        """Its settings; ports are chosen at the first look."""
        if self._settings is None:
            sip, tls, ws, wss, ng = free_ports(self.address, 5)
            park, events = free_ports("127.0.0.1", 2)
            secrets = self.home / "secrets"
            edge = EdgeSettings(
                domain=DOMAIN,
                address=self.address,
                sip_port=sip,
                tls_port=tls,
                ws_port=ws,
                wss_port=wss,
                park_port=park,
                events_port=events,
                workers=self.workers,
                events_key_file=secrets / "events.key",
                identity_key_file=secrets / "identity.key",
            )
            self._settings = Settings(
                home=self.home,
                edge=edge,
                rtpengine=(RtpengineSettings(ng_port=ng, control=self.address),),
                push={"apns": None},  # what the phones say they have; Kamailio is told the names alone
            )
        return self._settings

    @property
    def sip(self) -> tuple[str, int]:
        """Where it listens for SIP over UDP."""
        return self.address, self.settings.edge.sip_port

    @property
    def process(self) -> Process:
        """Kamailio itself."""
        return Installation(self.settings).kamailio

    # ------------------------------------------------------------------------------------------ measuring

    def cpu(self) -> float:
        """CPU seconds used so far by all its processes: user and system, to the nanosecond (proc(5), schedstat)."""
        return sum(self._cpu_by_process().values())

    def cpu_of_workers(self) -> float:
        """The same of the processes that handle SIP messages, the park socket's included; timers left out."""
        return sum(
            used for pid, used in self._cpu_by_process().items() if "udp receiver" in self._kinds.get(pid, "")
        )

    def measure_idle(self, seconds: float = 1.5) -> float:
        """Learn what it costs when nobody calls (timers), in CPU seconds a second; `used` leaves that out."""
        self._pids = frozenset(self._cpu_by_process())
        before = self.cpu()
        time.sleep(seconds)
        self._idle = (self.cpu() - before) / seconds
        return self._idle

    def used(self, cpu: float, started: float) -> float:
        """CPU seconds used for work since ``cpu`` was read at ``started`` (monotonic seconds)."""
        return self.cpu() - cpu - self._idle * (time.monotonic() - started)

    def check(self) -> None:
        """Raise BenchError if a process has ended since the start, or the log holds a sign of trouble."""
        ended = self._pids - frozenset(self._cpu_by_process())
        if ended or not self._pids:
            raise BenchError(
                f"Kamailio ({self.name}) is not what was started: processes {sorted(ended)} have ended; "
                f"the end of its log:\n{self.process.log_tail()}"
            )
        found = self.troubles()
        if found:
            raise BenchError(f"Kamailio ({self.name}) wrote to its log, among {len(found)} lines: {found[0]}")

    def troubles(self) -> list[str]:
        """The lines of its log that speak of crashes, of exhausted memory or of a bug."""
        return self._log_lines(_BAD_LOG)

    def errors(self) -> list[str]:
        """The lines of its log at level ERROR."""
        return self._log_lines(_ERROR)

    def _log_lines(self, wanted: re.Pattern[str]) -> list[str]:
        text = self.process.program.log.read_text(encoding="utf-8", errors="replace")
        return [line for line in text.splitlines() if wanted.search(line) and not _HARMLESS.search(line)]

    def _cpu_by_process(self) -> dict[int, float]:
        leader = self.process.pid
        found: dict[int, float] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (
                    (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                )
                if leader is not None and int(fields[2]) == leader:  # the process group is its leader's
                    nanoseconds = int((entry / "schedstat").read_text(encoding="ascii").split()[0])
                    found[int(entry.name)] = nanoseconds / 1e9
            except OSError:
                continue  # it has just ended
        return found

    # -------------------------------------------------------------------------------------- configuration

    def _configuration(self) -> str:
        text = render.kamailio_cfg(self.settings, self.repository)
        if not self.native:
            return text
        lines = (self.repository / "kamailio.cfg").read_text(encoding="utf-8").splitlines()
        peer = self.settings.run_dir / "peer.cfg"
        peer.write_text("\n".join(x for x in lines if not _KEMI_ONLY.search(x)) + "\n", encoding="utf-8")
        edge = self.settings.edge
        names = {
            "NB_EVENTS_KEY": self.settings.events_key(),
            "NB_EVENTS": f"127.0.0.1:{edge.events_port}",
            "NB_IDENTITY_KEY": self.settings.identity_key(),
        }
        head = [line for line in text.splitlines() if not line.startswith("include_file")]
        head += [f'#!substdef "!{name}!{value}!g"' for name, value in names.items()]
        head += [f'include_file "{peer}"', f'include_file "{HERE / "native.cfg"}"']
        return "\n".join(head) + "\n"
