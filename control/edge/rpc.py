"""JSON-RPC to Kamailio over its unix datagram socket: orders nobody waits for, and calls that are answered.

The kernel queues ten datagrams for a receiver by default. A full queue is back-pressure here: orders wait in
memory until the socket is writable, and an order that could not be handed over within its life is counted and
logged, never dropped in silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import socket
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from control.edge.errors import RpcRefusedError, RpcTimeoutError, RpcUnavailableError

log = structlog.get_logger(__name__)

RECONNECT_S = 0.1
ORDER_LIFE_S = 5.0  # after that the held call it speaks of has been told again, or is over
ORDER_LIMIT = 50_000
CALL_WINDOW = 6  # below the kernel's queue of ten: orders for calls find a free place at once
REPLY_BYTES = 1 << 18

# Made once: several orders leave for each held call.
_json: Callable[[object], str] = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

Json = Any  # a value as json.loads gives it: its shape is Kamailio's and checked where it is used


class Orders(Protocol):
    """Something that takes orders for Kamailio and sees to it that they arrive."""

    def order(self, method: str, *params: str | int) -> None:
        """Send without waiting for an answer; never blocks and never raises."""


class Calls(Protocol):
    """Something that can ask Kamailio and wait for the answer."""

    async def call(self, method: str, *params: str | int) -> Json:
        """The ``result`` of the answer; raises RpcError."""


@dataclass(slots=True)
class _Order:
    datagram: bytes
    method: str
    expires: float


class KamailioRpc:
    """Both ways to speak to Kamailio; survives its absence and its restarts.

    Orders leave through a socket without an address, so that Kamailio spends no time on answers.
    ``on_connect`` is called each time Kamailio's socket was found again. ``counters`` counts ``sent``,
    ``lost`` and ``connects``.
    """

    def __init__(self, path: Path, on_connect: Callable[[], None] | None = None) -> None:
        self._path = str(path)
        self._on_connect = on_connect
        self._loop = asyncio.get_running_loop()
        self._orders: deque[_Order] = deque()
        self._order_socket: socket.socket | None = None
        self._call_socket: socket.socket | None = None
        self._awaiting_room = False
        self._connecting: asyncio.Task[None] | None = None
        self._window = asyncio.Semaphore(CALL_WINDOW)
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._last_id = 0
        self._closed = False
        self.counters: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        """Whether Kamailio's socket was there when last used."""
        return self._order_socket is not None

    def start(self) -> None:
        """Connect now if Kamailio is there, else as soon as it is."""
        if not self._connect():
            self._connecting = asyncio.create_task(self._reconnect(), name="rpc-reconnect")

    async def close(self) -> None:
        """Give up what is queued and close."""
        self._closed = True
        self._disconnect()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        self._lose(len(self._orders), "closed")
        self._orders.clear()

    # ---------------------------------------------------------------------------------------- orders

    def order(self, method: str, *params: str | int) -> None:
        """Send without waiting for an answer; queues when Kamailio is busy or away; never raises."""
        datagram = _encode(method, params, None)
        if len(self._orders) >= ORDER_LIMIT:
            self._orders.popleft()
            self._lose(1, "too many orders wait")
        self._orders.append(_Order(datagram, method, self._loop.time() + ORDER_LIFE_S))
        if not self._awaiting_room:
            self._flush()

    def _flush(self) -> None:
        """Hand over as many orders as Kamailio's queue takes."""
        while self._orders and self._order_socket is not None:
            order = self._orders[0]
            if order.expires < self._loop.time():
                self._orders.popleft()
                self._lose(1, "not taken in time", method=order.method)
                continue
            try:
                self._order_socket.send(order.datagram)
            except BlockingIOError:
                self._await_room(self._order_socket)
                return
            except OSError as error:
                if _is_too_big(error):
                    self._orders.popleft()
                    self._lose(1, "too big for a datagram", method=order.method)
                    continue
                self._lost_kamailio(error)
                return
            self._orders.popleft()
            self.counters["sent"] += 1
        self._stop_awaiting_room()

    def _await_room(self, sock: socket.socket) -> None:
        if not self._awaiting_room:
            self._awaiting_room = True
            self._loop.add_writer(sock, self._flush)

    def _stop_awaiting_room(self) -> None:
        if self._awaiting_room and self._order_socket is not None:
            self._loop.remove_writer(self._order_socket)
        self._awaiting_room = False

    def _lose(self, count: int, why: str, method: str = "") -> None:
        if not count:
            return
        before = self.counters["lost"]
        self.counters["lost"] += count
        if self.counters["lost"].bit_length() > before.bit_length():  # 1, 2, 4, 8 …: the log is not flooded
            log.warning("orders-lost", why=why, method=method, lost=self.counters["lost"])

    # ----------------------------------------------------------------------------------------- calls

    async def call(self, method: str, *params: str | int, timeout: float = 2.0) -> Json:
        """Ask and wait; at most ``CALL_WINDOW`` at a time are with Kamailio.

        Returns the ``result``. Raises RpcUnavailableError, RpcTimeoutError (``timeout`` in seconds) or
        RpcRefusedError.
        """
        async with self._window:
            self._last_id += 1
            number = self._last_id
            answer: asyncio.Future[Json] = self._loop.create_future()
            self._answers[number] = answer
            try:
                async with asyncio.timeout(timeout):
                    await self._send_call(method, _encode(method, params, number))
                    return await answer
            except TimeoutError:
                raise RpcTimeoutError(f"{method}: no answer from Kamailio within {timeout} s") from None
            finally:
                self._answers.pop(number, None)

    async def _send_call(self, method: str, datagram: bytes) -> None:
        while True:
            sock = self._call_socket
            if sock is None:
                raise RpcUnavailableError(f"{method}: nobody listens at {self._path}; is Kamailio running?")
            try:
                sock.send(datagram)
            except BlockingIOError:
                # The receiver's queue is full of orders; they go first.
                await asyncio.sleep(0.001)
            except OSError as error:
                if _is_too_big(error):
                    raise RpcRefusedError(413, f"{method}: {len(datagram)} bytes exceed a datagram") from None
                self._lost_kamailio(error)
                raise RpcUnavailableError(f"{method}: {error.strerror} at {self._path}") from None
            else:
                return

    def _read_answers(self) -> None:
        while self._call_socket is not None:
            try:
                datagram = self._call_socket.recv(REPLY_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost_kamailio(error)
                return
            self._settle(datagram)

    def _settle(self, datagram: bytes) -> None:
        try:
            reply = json.loads(datagram)
        except ValueError:
            reply = None
        answer = self._answers.get(reply.get("id", 0)) if isinstance(reply, dict) else None
        if answer is None or answer.done():
            self.counters["stray-answers"] += 1
            return
        error = reply.get("error")
        if error is None:
            answer.set_result(reply.get("result"))
        else:
            answer.set_exception(RpcRefusedError(int(error.get("code", 500)), str(error.get("message"))))

    # ------------------------------------------------------------------------------------ connection

    def _connect(self) -> bool:
        orders = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        calls = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            orders.connect(self._path)
            calls.bind("")  # the kernel picks an abstract address to answer to
            calls.connect(self._path)
        except OSError:
            orders.close()
            calls.close()
            return False
        self._order_socket, self._call_socket = orders, calls
        self._loop.add_reader(calls, self._read_answers)
        self.counters["connects"] += 1
        if self._on_connect is not None:
            self._on_connect()
        self._flush()
        return True

    def _lost_kamailio(self, error: OSError) -> None:
        log.warning("rpc-lost", socket=self._path, error=error.strerror)
        self._disconnect()
        if not self._closed and (self._connecting is None or self._connecting.done()):
            self._connecting = asyncio.create_task(self._reconnect(), name="rpc-reconnect")

    def _disconnect(self) -> None:
        self._stop_awaiting_room()
        orders, calls = self._order_socket, self._call_socket
        self._order_socket = self._call_socket = None
        if calls is not None:
            self._loop.remove_reader(calls)
            calls.close()
        if orders is not None:
            orders.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(RpcUnavailableError("Kamailio went away before it answered"))
                answer.exception()  # seen: its caller may have timed out in this very moment

    async def _reconnect(self) -> None:
        while not self._closed:
            with contextlib.suppress(IndexError):
                while self._orders[0].expires < self._loop.time():
                    self._lose(1, "Kamailio is away", method=self._orders.popleft().method)
            if self._connect():
                return
            await asyncio.sleep(RECONNECT_S)


def _encode(method: str, params: tuple[str | int, ...], number: int | None) -> bytes:
    request: dict[str, Json] = {"jsonrpc": "2.0", "method": method, "params": params}
    if number is not None:
        request["id"] = number
    return _json(request).encode("utf-8", "replace")


def _is_too_big(error: OSError) -> bool:
    return error.errno == errno.EMSGSIZE
