"""A relay for TCP that holds back what it gets: ``python -m tests.bench.push.relay ADDRESS PORT MS`` prints its own port."""

from __future__ import annotations

import asyncio
import socket
import sys


class _Side(asyncio.Protocol):
    """One connection of a pair; what it receives leaves by the other one, ``delay`` seconds later."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: asyncio.Transport | None = None
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self.delay, self._pass_on, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_later(self.delay, self.other.close)

    def join(self, other: asyncio.Transport) -> None:
        """The far connection is there."""
        self.other = other
        for data in self.early:
            other.write(data)

    def _pass_on(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            self.other.write(data)


class _Accepted(_Side):
    def __init__(self, address: str, port: int, delay: float) -> None:
        super().__init__(delay)
        self._far = address, port
        self._joining: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._joining = asyncio.get_running_loop().create_task(self._join())

    async def _join(self) -> None:
        # What the handshake of TCP would take; the kernel has answered it at once.
        await asyncio.sleep(2 * self.delay)
        _, far = await asyncio.get_running_loop().create_connection(lambda: _Side(self.delay), *self._far)
        assert self.transport is not None
        assert far.transport is not None
        far.join(self.transport)
        self.join(far.transport)


async def _serve(address: str, port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Accepted(address, port, delay), address, 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1e3))
