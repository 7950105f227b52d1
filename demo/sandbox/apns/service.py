"""From a complete request to its answer: orders first, then Apple's rules; every push is recorded."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from demo.sandbox.apns.provider_token import ProviderTokens
from demo.sandbox.apns.reasons import STATUS_OF_REASON
from demo.sandbox.apns.rules import Request, Ruling, rule
from demo.sandbox.devices import Devices
from demo.sandbox.orders import Order, OrderBook
from demo.sandbox.pushes import Push, PushLog


@dataclass(frozen=True, slots=True)
class Answer:
    """What the connection does with a request: a fault, or headers and body; ``delay`` is in seconds."""

    headers: list[tuple[str, str]]
    body: bytes
    push: Push
    fault: str = ""
    delay: float = 0.0
    key_id: str = ""  # of the provider token, if that is good


class ApnsService:
    """The provider behind the connections. ``dated``: answers have a Date, which Apple documents nowhere."""

    def __init__(
        self,
        tokens: ProviderTokens,
        devices: Devices,
        orders: OrderBook,
        log: PushLog,
        clock: Callable[[], float],
        *,
        dated: bool = False,
    ) -> None:
        self._tokens = tokens
        self._devices = devices
        self._log = log
        self._clock = clock
        self._dated = dated
        self.orders = orders

    def answer(self, request: Request, received_at: float, connection: int, first_key: str = "") -> Answer:
        """Judge, record and answer one request. ``first_key``: the key that its connection is used with, if there is one."""
        authorization = request.headers.get("authorization", "")
        refusal = self._tokens.refusal(authorization)
        key_id = "" if refusal else self._tokens.key_id(authorization)
        if key_id and key_id != (first_key or key_id):
            refusal = "UnrelatedKeyIdInToken"
        order = self.orders.take("apns", request.token.lower())
        ruling = rule(request, refusal, lambda token: self._devices.find("apns", token))
        if not ruling.reason and not self._tokens.may(key_id, request.headers["apns-topic"]):
            ruling = Ruling("TopicDisallowed", payload=ruling.payload)
        if order and order.reason:
            ruling = Ruling(order.reason, order.unregistered_at, ruling.payload)
        fault = order.fault if order else ""
        status = 0 if fault else STATUS_OF_REASON.get(ruling.reason, 200)
        apns_id = request.headers.get("apns-id") or str(uuid.uuid4()).upper()
        push = self._push(request, ruling, status, fault, received_at, apns_id, connection)
        self._log.add(push)
        return Answer(
            headers=self._headers(status, apns_id, order),
            body=self._body(ruling, status),
            push=push,
            fault=fault,
            delay=order.delay_ms / 1000 if order else 0.0,
            key_id=key_id,
        )

    def answered(self, answer: Answer) -> None:
        """The answer has gone out: an accepted push now reaches the phone."""
        if answer.push.status == 200:
            self._devices.deliver(answer.push)

    def _headers(self, status: int, apns_id: str, order: Order | None) -> list[tuple[str, str]]:
        headers = [(":status", str(status)), ("apns-id", apns_id)]
        if order and order.retry_after is not None:
            headers.append(("retry-after", str(order.retry_after)))
        if self._dated:
            headers.append(("date", formatdate(self._clock(), usegmt=True)))
        return headers

    def _body(self, ruling: Ruling, status: int) -> bytes:
        if not ruling.reason:
            return b""
        body: dict[str, str | int] = {"reason": ruling.reason}
        if status == 410:
            at = self._clock() if ruling.timestamp is None else ruling.timestamp
            body["timestamp"] = int(at * 1000)
        return json.dumps(body, separators=(",", ":")).encode()

    def _push(
        self,
        request: Request,
        ruling: Ruling,
        status: int,
        fault: str,
        received_at: float,
        apns_id: str,
        connection: int,
    ) -> Push:
        headers = request.headers
        expiration = headers.get("apns-expiration", "0")
        return Push(
            number=self._log.next_number(),
            provider="apns",
            token=request.token.lower(),
            topic=headers.get("apns-topic", ""),
            provider_id=apns_id,
            received_at=received_at,
            expires_at=float(expiration) if expiration.isdecimal() else 0.0,
            priority=headers.get("apns-priority", "10"),
            push_type=headers.get("apns-push-type", ""),
            status=status,
            reason=fault or ruling.reason,
            connection=connection,
            payload=ruling.payload,
            message=ruling.payload,
            headers=headers,
        )
