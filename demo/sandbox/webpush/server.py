"""The push service's HTTPS side: ``POST /push/{subscription}`` (RFC 8030 §5)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from demo.sandbox.credentials import Credentials
from demo.sandbox.devices import Devices
from demo.sandbox.faults import answer, fail, wait
from demo.sandbox.https_server import HttpsServer
from demo.sandbox.orders import Order, OrderBook
from demo.sandbox.pushes import Push, PushLog
from demo.sandbox.webpush.aes128gcm import UnreadableError, decrypt
from demo.sandbox.webpush.errors import PUSH_ERRORS
from demo.sandbox.webpush.rules import MAX_BODY, Ruling, rule
from demo.sandbox.webpush.subscriptions import Subscription, Subscriptions
from demo.sandbox.webpush.vapid import refusal


class WebPushServer(HttpsServer):
    """One vendor's service. ``origin`` is what a VAPID token has to name as its audience."""

    largest = 4 * MAX_BODY

    def __init__(
        self,
        credentials: Credentials,
        subscriptions: Subscriptions,
        devices: Devices,
        orders: OrderBook,
        log: PushLog,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(credentials, clock)
        self._subscriptions = subscriptions
        self._devices = devices
        self._orders = orders
        self._log = log
        self.origin = ""

    def routes(self) -> list[web.RouteDef]:
        """What a subscription's endpoint leads to."""
        return [web.post("/push/{name}", self._push)]

    async def start(self, address: str, port: int) -> int:
        """As of any; from then on it knows its origin."""
        bound = await super().start(address, port)
        self.origin = f"https://{address}:{bound}"
        return bound

    async def _push(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        received_at = self._clock()
        headers = {name.lower(): value for name, value in request.headers.items()}
        subscription = self._subscriptions.get(request.match_info["name"])
        token = subscription.token if subscription else ""
        order = self._orders.take("webpush", token)
        ruling, plain = rule(headers, len(body)), b""
        error = self._refusal(subscription, headers) or ruling.error
        if subscription and not error and body:
            try:
                plain = decrypt(body, subscription.key, subscription.auth)
            except UnreadableError:
                # A real service cannot know: the browser throws such a message away.
                error = "InvalidCryptoKeys"
        error = (order.reason if order else "") or error
        push = self._record(request, headers, token, ruling, error, order, plain, received_at)
        self._log.add(push)
        await wait(order)
        if order and order.fault:
            return await fail(request, order.fault)
        if error:
            return answer(PUSH_ERRORS[error].body(), PUSH_ERRORS[error].code, order)
        self._devices.deliver(push)
        return web.Response(status=201, headers={"Location": push.provider_id, "TTL": str(ruling.ttl)})

    def _refusal(self, subscription: Subscription | None, headers: dict[str, str]) -> str:
        installation = self._devices.find("webpush", subscription.token) if subscription else None
        if installation is None:
            return "InvalidEndpoint"
        if installation.removed_at is not None:
            return "ExpiredEndpoint"
        return refusal(headers.get("authorization"), self.origin, installation.topic, self._clock())

    def _record(
        self,
        request: web.Request,
        headers: dict[str, str],
        token: str,
        ruling: Ruling,
        error: str,
        order: Order | None,
        plain: bytes,
        received_at: float,
    ) -> Push:
        installation = self._devices.find("webpush", token)
        fault = order.fault if order else ""
        status = 0 if fault else (PUSH_ERRORS[error].code if error else 201)
        return Push(
            number=self._log.next_number(),
            provider="webpush",
            token=token,
            topic=installation.topic if installation else "",
            provider_id=f"{self.origin}/message/{secrets.token_urlsafe(18)}",
            received_at=received_at,
            expires_at=received_at + ruling.ttl if ruling.ttl else 0.0,
            priority=ruling.urgency,
            push_type="data",
            status=502 if fault == "bad_gateway" else status,
            reason=fault or error,
            connection=id(request.transport),
            payload=_json(plain),
            headers=headers,
            collapse=ruling.topic,
        )


def _json(plain: bytes) -> dict[str, Any]:
    """What the page's service worker gets of a message, where that is a JSON object."""
    try:
        raw = json.loads(plain)
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}
