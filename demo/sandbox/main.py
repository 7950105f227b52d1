"""The sandbox as a process of its own."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from pathlib import Path

from demo.sandbox.provider_sandbox import ProviderSandbox


def run(
    directory: Path | str,
    apns_port: int = 0,
    fcm_port: int = 0,
    control_port: int = 0,
    webpush_port: int = 0,
    *,
    address: str = "127.0.0.1",
    ready: Callable[[ProviderSandbox], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT; ``ready`` is called once everything listens."""
    ports = (apns_port, fcm_port, control_port, webpush_port)
    asyncio.run(_serve(ProviderSandbox(address), Path(directory), ports, ready))


async def _serve(
    sandbox: ProviderSandbox,
    directory: Path,
    ports: tuple[int, int, int, int],
    ready: Callable[[ProviderSandbox], None] | None,
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await sandbox.start(directory, *ports)
    # The log grows by tens of thousands of lasting objects: looking through them all, again and again, would
    # stall the process for longer than the latencies it is used to measure.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        if ready:
            ready(sandbox)
        await ended.wait()
    finally:
        await sandbox.stop()
