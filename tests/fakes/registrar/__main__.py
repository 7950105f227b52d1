"""The registrar as a process: `python -m tests.fakes.registrar`; orders come as JSON lines over a Unix socket."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from tests.fakes.registrar.ban import Ban
from tests.fakes.registrar.behaviour import Behaviour
from tests.fakes.registrar.core import Core
from tests.fakes.registrar.errors import FakeRegistrarError
from tests.fakes.registrar.server import Server


class Control:
    """Follows orders; every method's name is an order, its keyword arguments the rest of the line."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._core = server.core

    def order(self, users: str, behaviour: dict[str, Any], times: int = 0) -> None:
        """See Core.order."""
        self._core.order(users, behaviour, times)

    def forget_orders(self) -> None:
        """Treat every account by its name again."""
        self._core.forget_orders()

    def ban(self, after: int, within: float = 600.0, lasting: float = 600.0) -> None:
        """Ban addresses from now on; ``after`` 0 ends it and lifts what there is."""
        self._core.ban = Ban(after, within, lasting)

    def statistics(self) -> dict[str, Any]:
        """What was seen, with ``bound`` (accounts that hold a binding now), ``accounts`` and ``cpu`` seconds used."""
        core = self._core
        more = {"bound": core.bound(time.time()), "accounts": len(core.accounts), "cpu": time.process_time()}
        return core.statistics.as_json() | more

    def clear(self) -> None:
        """Start the statistics anew."""
        self._core.clear()

    def history(self, user: str) -> list[dict[str, Any]]:
        """The last REGISTERs of an account."""
        account = self._core.accounts.get(user)
        return [seen._asdict() for seen in account.history] if account else []

    def bindings(self, user: str) -> dict[str, float]:
        """The account's live contacts, and the seconds each has left."""
        account, now = self._core.accounts.get(user), time.time()
        return {uri: b.until - now for uri, b in account.bindings.live(now).items()} if account else {}

    def forget_bindings(self) -> None:
        """Lose every binding and nonce, as a PBX does that restarts without its database."""
        for account in self._core.accounts.values():
            account.bindings.by_uri.clear()
            account.gate.nonces.clear()

    def cut_connections(self) -> int:
        """Reset every TCP and TLS connection."""
        return self._server.cut_connections()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of whoever gives orders."""
        while line := await reader.readline():
            try:
                order = json.loads(line)
                name = order.pop("do")
                if name.startswith("_") or name == "serve":
                    raise FakeRegistrarError(f"no order {name!r}")
                answer = {"result": getattr(self, name)(**order)}
            except (FakeRegistrarError, AttributeError, TypeError, ValueError, KeyError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()


async def _run(arguments: argparse.Namespace) -> None:
    default = Behaviour().changed(json.loads(arguments.default))
    server = Server(Core(arguments.realm, default, arguments.history), *arguments.address)
    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
    await server.start(arguments.udp, arguments.tcp, arguments.tls, context)
    control = await asyncio.start_unix_server(Control(server).serve, arguments.control, limit=1 << 20)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    # Accounts live as long as the process: walking through all of them again and again would be most of its work.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    sys.stdout.write(json.dumps(server.ports) + "\n")
    sys.stdout.flush()
    await ended.wait()
    control.close()
    await server.stop()


def main() -> None:
    """Run until SIGTERM; the ports go to standard output as one line of JSON once they are open."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, action="append", help="may be given again: one PBX each")
    parser.add_argument("--control", required=True, type=Path, help="path of the Unix socket for orders")
    for name in ("udp", "tcp", "tls"):
        parser.add_argument(f"--{name}", type=int, default=0, help="port; 0: the system chooses")
    parser.add_argument("--certificate", default="", help="PEM file; without it there is no TLS")
    parser.add_argument("--key", default="")
    parser.add_argument("--realm", default="pbx.test")
    parser.add_argument("--default", default="{}", help="JSON: knobs for accounts whose name says nothing")
    parser.add_argument("--history", type=int, default=50, help="REGISTERs remembered of each account")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
