"""The FCM sandbox's HTTPS side: ``POST /token`` and ``POST /v1/projects/{project}/messages:send``."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from demo.sandbox.credentials import Credentials
from demo.sandbox.devices import Devices
from demo.sandbox.faults import answer, fail, wait
from demo.sandbox.fcm.errors import FCM_ERRORS, OAUTH_ERRORS, GoogleError, unauthenticated, wrong_project
from demo.sandbox.fcm.oauth import AccessTokens
from demo.sandbox.fcm.rules import Ruling, rule
from demo.sandbox.https_server import HttpsServer
from demo.sandbox.orders import TOKEN, Order, OrderBook
from demo.sandbox.pushes import Push, PushLog


class FcmServer(HttpsServer):
    """Google's two endpoints on one address."""

    def __init__(
        self,
        credentials: Credentials,
        access_tokens: AccessTokens,
        devices: Devices,
        orders: OrderBook,
        log: PushLog,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(credentials, clock)
        self._access_tokens = access_tokens
        self._devices = devices
        self._orders = orders
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        """Of OAuth, and of FCM."""
        return [
            web.post("/token", self._token),
            web.post("/v1/projects/{project}/messages:send", self._send),
        ]

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        order = self._orders.take("fcm", endpoint=TOKEN)
        await wait(order)
        if order and order.fault:
            return await fail(request, order.fault)
        if order and order.reason:
            status = OAUTH_ERRORS[order.reason]
            return answer({"error": order.reason, "error_description": "Ordered."}, status, order)
        grant = self._access_tokens.exchange(str(form.get("grant_type", "")), str(form.get("assertion", "")))
        if grant.error:
            refused = {"error": grant.error, "error_description": grant.description}
            return answer(refused, OAUTH_ERRORS[grant.error])
        life = int(self._access_tokens.life)
        return answer({"access_token": grant.access_token, "expires_in": life, "token_type": "Bearer"})

    async def _send(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        received_at = self._clock()
        body = _parsed(raw)
        message = body.get("message") if isinstance(body, dict) else None
        message = message if isinstance(message, dict) else {}
        order = self._orders.take("fcm", str(message.get("token", "")))
        ruling = self._rule(request, body)
        if order and order.reason:
            ruling = Ruling(FCM_ERRORS[order.reason], ruling.ttl)
        push = self._push(request, message, ruling, order, received_at)
        self._log.add(push)
        await wait(order)
        if order and order.fault:
            return await fail(request, order.fault)
        if ruling.error:
            return answer(ruling.error.body(), ruling.error.code, order)
        if not (isinstance(body, dict) and body.get("validate_only")):
            self._devices.deliver(push)
        return answer({"name": push.provider_id}, order=order)

    def _rule(self, request: web.Request, body: Any) -> Ruling:
        refused = self._access_tokens.refusal(request.headers.get("Authorization"))
        if refused:
            return Ruling(unauthenticated(refused))
        if request.match_info["project"] != self._access_tokens.project(request.headers["Authorization"]):
            return Ruling(wrong_project(request.match_info["project"]))
        return rule(body, lambda token: self._devices.find("fcm", token))

    def _push(
        self,
        request: web.Request,
        message: dict[str, Any],
        ruling: Ruling,
        order: Order | None,
        received_at: float,
    ) -> Push:
        token = str(message.get("token", ""))
        installation = self._devices.find("fcm", token)
        android = message.get("android")
        android = android if isinstance(android, dict) else {}
        data = message.get("data")
        fault = order.fault if order else ""
        return Push(
            number=self._log.next_number(),
            provider="fcm",
            token=token,
            topic=installation.topic if installation else "",
            provider_id=f"projects/{request.match_info['project']}/messages/0:{secrets.token_hex(16)}",
            received_at=received_at,
            expires_at=received_at + ruling.ttl if ruling.ttl else 0.0,
            priority=str(android.get("priority", "normal")).lower(),
            push_type="data" if "notification" not in message else "notification",
            status=_status(ruling.error, fault),
            reason=fault or (ruling.error.reason if ruling.error else ""),
            connection=id(request.transport),
            payload=data if isinstance(data, dict) else {},
            message=message,
            headers={name.lower(): value for name, value in request.headers.items()},
        )


def _status(error: GoogleError | None, fault: str) -> int:
    if fault:
        return 502 if fault == "bad_gateway" else 0
    return error.code if error else 200


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None
