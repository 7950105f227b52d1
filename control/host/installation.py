"""The programs of one installation on this machine: rtpengine, coturn, Kamailio, the edge agent and the pages."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from control.host import readiness, relays, render, rtpengine, tables
from control.host.certificates import ensure_certificate
from control.host.errors import PrepareError
from control.host.files import ensure_secret, write_private, write_public
from control.host.process import Process, Program
from control.settings import RtpengineSettings, Settings

_MEMORY_AT_REST_MB = 64  # of shared memory: Kamailio itself, and the calls and registrations of a busy moment
_BYTES_A_DOCUMENT = 1_500  # with what a connection takes while it is registered


@dataclass(frozen=True)
class Installation:
    """What runs for one home folder. Its processes outlive this object; pid files find them again."""

    settings: Settings

    @property
    def relays(self) -> tuple[Process, ...]:
        """The media relays that run here."""
        return tuple(self.relay(relay) for relay in self.settings.rtpengine if relay.here)

    def relay(self, media: RtpengineSettings) -> Process:
        """One media relay."""
        arguments = (
            "--config-file=none",
            "--table=-1",  # in userspace: no kernel module
            "--foreground",
            "--log-stderr",
            "--log-level=5",  # from 7 on it writes keys
            "--delete-delay=0",  # s; the ports of a call that is over are free at once
            f"--timeout={self.settings.edge.silence + 60}",  # s; before that, the edge agent ends a silent call
            f"--interface={media.address or self.settings.edge.address}",
            f"--listen-ng={media.control}:{media.ng_port}",
            f"--port-min={media.rtp_min}",
            f"--port-max={media.rtp_max}",
        )
        return self._process(
            media.name,
            rtpengine.command(media, *arguments),
            lambda: readiness.ng(media.control, media.ng_port),
        )

    @property
    def turn(self) -> Process | None:
        """The TURN server, if there is to be one."""
        settings, turn = self.settings, self.settings.turn
        if turn is None:
            return None
        command = ("turnserver", "-c", str(settings.run_dir / "turnserver.conf"))
        return self._process("turn", command, lambda: readiness.tcp(settings.edge.address, turn.port))

    @property
    def kamailio(self) -> Process:
        """The SIP edge."""
        settings = self.settings
        run = settings.run_dir
        command = (
            *("kamailio", "-f", str(run / "kamailio.cfg"), "-DD", "-E"),
            *("-x", "fm", "-X", "fm"),
            *("-M", str(settings.edge.private_memory_mb), "-m", str(settings.edge.shared_memory_mb)),
            *("-w", str(run), "-Y", str(run)),
        )
        return self._process(
            "kamailio",
            command,
            lambda: readiness.kamailio(settings.rpc_socket, settings.edge.address, settings.edge.sip_port),
            environment={"NIGHTBELL_KEMI": str(settings.kemi_json)},
        )

    @property
    def edge(self) -> Process:
        """The edge agent."""
        ready, pid_file = self.settings.edge_ready, self.settings.run_dir / "edge.pid"
        return self._process(
            "edge", self._nightbell("edge"), lambda: readiness.written_since(ready, pid_file)
        )

    @property
    def web(self) -> Process:
        """Pages and API."""
        web = self.settings.web
        return self._process("web", self._nightbell("web"), lambda: readiness.web(web.address, web.port))

    @property
    def processes(self) -> tuple[Process, ...]:
        """All of them, in the order of starting."""
        turn = (self.turn,) if self.turn else ()
        return (*self.relays, *turn, self.kamailio, self.edge, self.web)

    def prepare(self) -> None:
        """Write everything the programs read that can be made from the settings. Raises HostError."""
        settings = self.settings
        for folder in (settings.run_dir, settings.log_dir, settings.state_dir):
            folder.mkdir(parents=True, exist_ok=True)
        ensure_secret(settings.edge.events_key_file)
        ensure_secret(settings.edge.identity_key_file)
        now = datetime.datetime.now(datetime.UTC)
        ensure_certificate(settings.tls_dir, settings.edge.domain, settings.edge.address, now)
        write_public(settings.run_dir / "tls.cfg", render.tls_cfg(settings))
        write_public(settings.run_dir / "kamailio.cfg", render.kamailio_cfg(settings))
        write_private(
            settings.kemi_json, render.kemi_json(settings, webrtc=rtpengine.takes_webrtc(settings.rtpengine))
        )
        if settings.turn is not None:
            ensure_secret(settings.turn.secret_file)
            write_private(
                settings.run_dir / "turnserver.conf", render.turnserver_conf(settings, settings.turn)
            )
        tables.ensure_location(settings.location_db)
        tables.ensure_projection(settings.projection_db)
        relays.write(settings)
        self._check_memory()

    def _check_memory(self) -> None:
        """Rather not start than start with less than all connections: Kamailio would be silent about those it has no room for."""
        documents = tables.count_documents(self.settings.projection_db)
        needed = _MEMORY_AT_REST_MB + documents * _BYTES_A_DOCUMENT // 1_000_000
        given = self.settings.edge.shared_memory_mb
        if given < needed:
            raise PrepareError(
                f"edge.shared_memory_mb is {given}, and {documents} documents need {needed}: raise it in nightbell.toml"
            )

    def up(self) -> Iterator[tuple[str, bool]]:
        """Start what does not run; yields each name once ready, and if it was started. Raises HostError."""
        self.prepare()
        # Kamailio looks for its relays once at its start, and then not again for a while. The others wait for nobody.
        first, everything = self.relays, self.processes
        for group in (first, everything[len(first) :]):
            begun = [(process, process.begin()) for process in group]
            for process, started in begun:
                process.wait_ready()
                yield process.program.name, started

    def down(self) -> Iterator[tuple[str, bool]]:
        """Stop everything; yields each name once it is gone, and whether it ran. Raises StopError."""
        for process in reversed(self.processes):
            yield process.program.name, process.stop()

    def _process(
        self,
        name: str,
        command: tuple[str, ...],
        ready: Callable[[], bool],
        environment: dict[str, str] | None = None,
    ) -> Process:
        settings = self.settings
        return Process(
            Program(
                name=name,
                command=command,
                log=settings.log_dir / f"{name}.log",
                pid_file=settings.run_dir / f"{name}.pid",
                ready=ready,
                environment=environment or {},
            )
        )

    def _nightbell(self, command: str) -> tuple[str, ...]:
        # The same interpreter, found without a search: the console script stands beside it.
        script = Path(sys.executable).with_name("nightbell")
        return (str(script), command, "--home", str(self.settings.home))
