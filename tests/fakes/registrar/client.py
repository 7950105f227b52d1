"""The registrar's process as a test or a measurement holds it: started, ordered about, asked, stopped."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.fakes.registrar.errors import ControlError

_REPOSITORY = Path(__file__).parents[3]
_PATIENCE = 15.0  # seconds: statistics of 100,000 accounts take a moment when the machine is busy


class FakeRegistrar:
    """A PBX's registrar in a process of its own, for as long as the ``with`` block; with ``more`` addresses, several PBXs.

    ``ports`` by transport: ``udp`` and ``tcp`` (the same one, unless chosen), and ``tls`` with a ``certificate``. The methods
    raise ControlError when the process does not answer or refuses an order.
    """

    def __init__(
        self,
        address: str,
        *more: str,
        udp: int = 0,
        tcp: int = 0,
        tls: int = 0,
        certificate: Path | None = None,
        key: Path | None = None,
        realm: str = "pbx.test",
        default: Mapping[str, Any] | None = None,
        history: int = 50,
    ) -> None:
        self.address = address
        self.addresses = (address, *more)
        self.realm = realm
        self.ports: dict[str, int] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="registrar-")
        self._arguments = [
            *(word for one in self.addresses for word in ("--address", one)),
            *("--control", f"{self._folder.name}/control", "--realm", realm),
            *("--udp", str(udp), "--tcp", str(tcp), "--tls", str(tls), "--history", str(history)),
            *("--default", json.dumps(dict(default or {}))),
        ]
        if certificate is not None and key is not None:
            self._arguments += ["--certificate", str(certificate), "--key", str(key)]
        self._process: subprocess.Popen[str] | None = None
        self._link: socket.socket | None = None
        self._answers = b""

    def __enter__(self) -> FakeRegistrar:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; returns when its ports are open. Raises ControlError."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.registrar", *self._arguments],
            cwd=_REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        ready = select.select([self._process.stdout], [], [], _PATIENCE)[0]
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self._process.kill()
            words = self._process.communicate()[1]
            raise ControlError(f"the fake registrar did not start within {_PATIENCE:g} s: {words[-1000:]}")
        self.ports = json.loads(line)
        self._link = socket.socket(socket.AF_UNIX)
        self._link.settimeout(_PATIENCE)
        self._link.connect(f"{self._folder.name}/control")

    def stop(self) -> None:
        """End it; it says nothing to its clients."""
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()
        self._folder.cleanup()

    def order(self, users: str, /, *, times: int = 0, **behaviour: Any) -> None:
        """Treat accounts whose name matches the shell pattern so; the knobs are those of ``Behaviour``."""
        self.ask("order", users=users, behaviour=behaviour, times=times)

    def statistics(self) -> dict[str, Any]:
        """See ``Statistics.as_json``; and ``bound``, ``accounts``, ``cpu``."""
        found: dict[str, Any] = self.ask("statistics")
        return found

    def clear(self) -> None:
        """Start the statistics anew."""
        self.ask("clear")

    def history(self, user: str) -> list[dict[str, Any]]:
        """The last REGISTERs of an account, as ``core.Seen``."""
        found: list[dict[str, Any]] = self.ask("history", user=user)
        return found

    def ask(self, do: str, **arguments: Any) -> Any:
        """Any order of ``Control``; its result."""
        if self._link is None:
            raise ControlError("the fake registrar was not started")
        try:
            self._link.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            while b"\n" not in self._answers:
                part = self._link.recv(1 << 20)
                if not part:
                    raise ControlError("the fake registrar has ended")
                self._answers += part
        except OSError as error:
            raise ControlError(f"the fake registrar does not answer {do}: {error}") from None
        line, _, self._answers = self._answers.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise ControlError(f"{do}: {answer['error']}")
        return answer["result"]
