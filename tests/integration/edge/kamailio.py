"""A small real Kamailio for the edge agent's tests: JSON-RPC, the hash tables, nothing of ours inside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

from control.edge.errors import RpcError, RpcRefusedError
from control.edge.rpc import KamailioRpc

ADDRESS = "127.0.11.1"
START_S = 10.0

_CONFIG = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:{address}:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "db_sqlite.so"
loadmodule "jsonrpcs.so"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "pv.so"
loadmodule "htable.so"
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{rpc}")
modparam("htable", "db_url", "sqlite:///{projection}")
modparam("htable", "htable", "device=>size=8;dbtable=device;")
modparam("htable", "htable", "line=>size=8;dbtable=line;")
modparam("htable", "htable", "connection=>size=8;dbtable=connection;")
modparam("htable", "htable", "trunk=>size=8;")
modparam("htable", "htable", "number=>size=8;")
modparam("htable", "htable", "upstream=>size=8;dbtable=upstream;")
modparam("htable", "htable", "acked=>size=8;autoexpire=90;")
modparam("htable", "htable", "agent=>size=2;")
modparam("htable", "htable", "changes=>size=8;")
request_route {{ exit; }}
"""


class SmallKamailio:
    """One Kamailio in a folder; started and killed at will, always with the same socket."""

    def __init__(self, folder: Path, projection: Path | None = None) -> None:
        self.rpc_path = folder / "kamailio.rpc"
        self.projection = projection or folder / "projection.db"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start and wait until it answers."""
        config = self._folder / "kamailio.cfg"
        config.write_text(
            _CONFIG.format(address=ADDRESS, port=_free_port(), rpc=self.rpc_path, projection=self.projection)
        )
        command = ["/usr/sbin/kamailio", "-f", str(config), "-x", "fm", "-X", "fm", "-m", "32", "-M", "8"]
        command += [
            "-P",
            str(self._folder / "kamailio.pid"),
            "-w",
            str(self._folder),
            "-Y",
            str(self._folder),
        ]
        with (self._folder / "kamailio.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  a fork, done in a moment
                [*command, "-DD", "-E"], stdout=log, stderr=log
            )
        async with asyncio.timeout(START_S):
            while not await self._answers():
                assert self._process.poll() is None, (self._folder / "kamailio.log").read_text()
                await asyncio.sleep(0.02)

    def send_signal(self, number: signal.Signals) -> None:
        """To the process that serves JSON-RPC too: it is a child of the first."""
        assert self._process is not None
        for pid in [self._process.pid, *_children(self._process.pid)]:
            os.kill(pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL for the sudden death of all its processes."""
        if self._process is None:
            return
        if number is not signal.SIGKILL:
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
        if self._process.poll() is None:
            # Asked to end while it still forks, it may wait a minute for the newest process: the signal came too early there.
            self.send_signal(signal.SIGKILL)
            self._process.wait(timeout=10)
        self._process = None

    async def table(self, name: str, *keys: str) -> dict[str, str]:
        """What a hash table holds under these keys."""
        rpc = KamailioRpc(self.rpc_path)
        rpc.start()
        found = {}
        try:
            for key in keys:
                try:
                    found[key] = (await rpc.call("htable.get", name, key))["item"]["value"]
                except RpcRefusedError as error:
                    if "doesn't exist" not in str(error):
                        raise
        finally:
            await rpc.close()
        return found

    async def holds(self, name: str, wanted: dict[str, str | None]) -> bool:
        """Whether a hash table holds these values; None: nothing under this key."""
        found = await self.table(name, *wanted)
        return found == {key: value for key, value in wanted.items() if value is not None}

    async def _answers(self) -> bool:
        rpc = KamailioRpc(self.rpc_path)
        try:
            if self.rpc_path.exists():
                rpc.start()
            if not rpc.connected:
                return False
            await rpc.call("core.uptime", timeout=0.5)
        except RpcError:
            return False
        finally:
            await rpc.close()
        return True


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ADDRESS, 0))
        return int(sock.getsockname()[1])
