"""What goes wrong below the level of an answer, at the services that speak HTTP/1.1."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from demo.sandbox.orders import Order

BAD_GATEWAY_PAGE = "<!DOCTYPE html>\n<html lang=en><title>Error 502 (Server Error)!!1</title><p><b>502.</b>\n"


async def wait(order: Order | None) -> None:
    """Let the time pass by which an order holds back its answer."""
    if order and order.delay_ms:
        await asyncio.sleep(order.delay_ms / 1000)


async def fail(request: web.Request, fault: str) -> web.StreamResponse:
    """Carry out a fault; returns only if the fault is an answer."""
    if fault == "bad_gateway":
        # What a vendor's front end says when nothing behind it answers: a page, not JSON.
        return web.Response(status=502, text=BAD_GATEWAY_PAGE, content_type="text/html")
    if fault == "close" and request.transport:
        request.transport.abort()
    # This handler is cancelled when the connection is gone.
    await asyncio.Event().wait()
    raise web.HTTPInternalServerError


def answer(body: dict[str, Any], status: int = 200, order: Order | None = None) -> web.Response:
    """JSON, with the order's Retry-After."""
    headers = {}
    if order and order.retry_after is not None:
        headers["Retry-After"] = str(order.retry_after)
    return web.json_response(body, status=status, headers=headers)
