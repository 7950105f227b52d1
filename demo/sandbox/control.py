"""The sandbox's own door: a JSON API on loopback to install apps, give orders, and read what came.

It has no logins and therefore listens on loopback addresses only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web

from demo.sandbox.devices import Deliveries
from demo.sandbox.errors import BadOrderError, SandboxError, UnknownTokenError
from demo.sandbox.orders import Order, OrderBook
from demo.sandbox.pushes import PushLog


class Sandbox(Protocol):
    """What the API needs of the sandbox."""

    log: PushLog
    orders: OrderBook

    def install(self, provider: str, topic: str) -> str:
        """Issue a device token."""

    def uninstall(self, token: str) -> None:
        """Make a device token dead."""

    def order(self, provider: str, **fields: Any) -> Order:
        """Give an order."""

    def deliveries(self, token: str) -> Deliveries:
        """Listen for a device."""

    def status(self) -> dict[str, Any]:
        """Addresses and counts."""

    async def take_down(self, provider: str) -> None:
        """Make a provider unreachable."""

    async def bring_up(self, provider: str) -> None:
        """Make a provider reachable again."""


class ControlServer:
    """Serves the API."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, port: int) -> int:
        """Listen; returns the port, which the system chooses for 0."""
        app = web.Application(middlewares=[_errors_as_json])
        app.router.add_get("/health", self._health)
        app.router.add_post("/install", self._install)
        app.router.add_post("/uninstall", self._uninstall)
        app.router.add_get("/orders", self._list_orders)
        app.router.add_post("/orders", self._order)
        app.router.add_delete("/orders", self._clear)
        app.router.add_delete("/orders/{id}", self._cancel)
        app.router.add_get("/pushes", self._pushes)
        app.router.add_get("/deliveries/{token:.+}", self._deliveries)
        app.router.add_post("/providers/{provider}", self._provider)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port, backlog=512).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening and hang up."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response(self._sandbox.status())

    async def _install(self, request: web.Request) -> web.Response:
        body = await _body(request, {"provider": str, "topic": str})
        token = self._sandbox.install(body.get("provider", ""), body.get("topic", ""))
        return web.json_response({"token": token}, status=201)

    async def _uninstall(self, request: web.Request) -> web.Response:
        body = await _body(request, {"token": str})
        self._sandbox.uninstall(body.get("token", ""))
        return web.json_response({})

    async def _list_orders(self, _request: web.Request) -> web.Response:
        return web.json_response({"orders": [asdict(order) for order in self._sandbox.orders]})

    async def _order(self, request: web.Request) -> web.Response:
        body = await _body(request, ORDER_FIELDS)
        order = self._sandbox.order(body.pop("provider", ""), **body)
        return web.json_response(asdict(order), status=201)

    async def _clear(self, request: web.Request) -> web.Response:
        self._sandbox.orders.clear(request.query.get("provider", ""))
        return web.json_response({})

    async def _cancel(self, request: web.Request) -> web.Response:
        found = self._sandbox.orders.cancel(request.match_info["id"])
        return web.json_response({"cancelled": found})

    async def _pushes(self, request: web.Request) -> web.Response:
        try:
            since = int(request.query.get("since", "0"))
            limit = int(request.query.get("limit", "1000"))
        except ValueError:
            raise BadOrderError("since and limit are whole numbers") from None
        selected = list(self._sandbox.log.select(request.query.get("token", ""), since))[: max(limit, 0)]
        return web.json_response({"pushes": [push.as_json() for push in selected]})

    async def _deliveries(self, request: web.Request) -> web.StreamResponse:
        with self._sandbox.deliveries(request.match_info["token"]) as deliveries:
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            # The header of the answer is sent at once: whoever has it is listening.
            await response.prepare(request)
            async for push in deliveries:
                await response.write(json.dumps(push.as_json(), separators=(",", ":")).encode() + b"\n")
            return response

    async def _provider(self, request: web.Request) -> web.Response:
        body = await _body(request, {"up": bool})
        change = self._sandbox.bring_up if body.get("up", True) else self._sandbox.take_down
        await change(request.match_info["provider"])
        return web.json_response(self._sandbox.status())


ORDER_FIELDS: dict[str, type | tuple[type, ...]] = {
    "provider": str,
    "reason": str,
    "fault": str,
    "token": str,
    "count": int,
    "delay_ms": int,
    "retry_after": int,
    "unregistered_at": (int, float),
    "endpoint": str,
}


async def _body(request: web.Request, fields: dict[str, Any]) -> dict[str, Any]:
    # JSON by name only: a form on some web page, opened in the user's browser, cannot send that here.
    if request.content_type != "application/json":
        raise BadOrderError("send JSON, with Content-Type: application/json")
    try:
        body = await request.json()
    except ValueError:
        raise BadOrderError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadOrderError("the body is not a JSON object")
    for name, value in body.items():
        if name not in fields:
            raise BadOrderError(f"unknown field {name!r}; known: {', '.join(fields)}")
        if not isinstance(value, fields[name]):
            raise BadOrderError(f"{name} has a value of the wrong kind: {value!r}")
    return body


@web.middleware
async def _errors_as_json(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except SandboxError as error:
        status = 404 if isinstance(error, UnknownTokenError) else 400
        return web.json_response({"error": {"id": error.id, "message": str(error)}}, status=status)
    return response
