"""Orders to misbehave: which errors and faults the next pushes meet."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from demo.sandbox.errors import BadOrderError, UnknownProviderError

SEND = "send"
TOKEN = "token"  # noqa: S105 - the name of the OAuth endpoint, no secret
ONE_STREAM = "one_stream"

# What can go wrong below the level of an answer. `one_stream` is a state of the server, not one push's fate.
FAULTS: Mapping[str, frozenset[str]] = {
    "apns": frozenset({"hang", "goaway", "rst_stream", "close", ONE_STREAM}),
    "fcm": frozenset({"hang", "close", "bad_gateway"}),
    "webpush": frozenset({"hang", "close", "bad_gateway"}),
}


@dataclass
class Order:
    """One order.

    ``token``: for this device token only, empty for all. ``count``: how many requests it holds for, None until
    it is cancelled. ``delay_ms``: the answer (or fault) and the delivery come that much later.
    ``retry_after``: seconds, sent as Retry-After. ``unregistered_at``: UNIX seconds, for APNs's 410.
    ``endpoint``: ``send``, or ``token`` for FCM's OAuth exchange.
    """

    id: str
    provider: str
    reason: str = ""
    fault: str = ""
    token: str = ""
    count: int | None = None
    delay_ms: int = 0
    retry_after: int | None = None
    unregistered_at: float | None = None
    endpoint: str = SEND


class OrderBook:
    """The orders in force, oldest first. ``reasons`` lists the orderable errors per (provider, endpoint)."""

    def __init__(self, reasons: Mapping[tuple[str, str], Iterable[str]]) -> None:
        self._reasons = {key: frozenset(names) for key, names in reasons.items()}
        self._orders: list[Order] = []
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever an order is added or removed."""
        self._listeners.append(listener)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders)

    def add(self, order: Order) -> Order:
        """Put an order in force; raises BadOrderError or UnknownProviderError."""
        self._check(order)
        self._orders.append(order)
        self._changed()
        return order

    def cancel(self, order_id: str) -> bool:
        """Remove one order; False when it was not there (it may have been used up)."""
        before = len(self._orders)
        self._orders = [order for order in self._orders if order.id != order_id]
        self._changed()
        return len(self._orders) < before

    def clear(self, provider: str = "") -> None:
        """Remove the orders of one provider, or all."""
        self._orders = [order for order in self._orders if provider and order.provider != provider]
        self._changed()

    def standing(self, provider: str, fault: str) -> bool:
        """Whether a fault that is a state of the server is in force."""
        return any(order.provider == provider and order.fault == fault for order in self._orders)

    def take(self, provider: str, token: str = "", endpoint: str = SEND) -> Order | None:
        """The order for this request, counted down; one for its very token goes before one for all."""
        if not self._orders:
            return None
        matching = [
            order
            for order in self._orders
            if order.provider == provider
            and order.endpoint == endpoint
            and order.fault != ONE_STREAM
            and order.token in ("", token)
        ]
        if not matching:
            return None
        order = next((order for order in matching if order.token), matching[0])
        if order.count is not None:
            order.count -= 1
            if order.count == 0:
                self._orders.remove(order)
        return order

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def _check(self, order: Order) -> None:
        if order.provider not in FAULTS:
            raise UnknownProviderError(order.provider)
        known = self._reasons.get((order.provider, order.endpoint))
        if known is None:
            raise BadOrderError(f"{order.provider} has no endpoint {order.endpoint!r}")
        if order.reason and order.reason not in known:
            raise BadOrderError(
                f"{order.provider} has no error {order.reason!r}; it has {', '.join(sorted(known))}"
            )
        if order.fault and order.fault not in FAULTS[order.provider]:
            faults = ", ".join(sorted(FAULTS[order.provider]))
            raise BadOrderError(f"{order.provider} has no fault {order.fault!r}; it has {faults}")
        if order.reason and order.fault:
            raise BadOrderError("an order is either an error (reason) or a fault: give one of them")
        if not order.reason and not order.fault and not order.delay_ms:
            raise BadOrderError(
                "an order without reason, fault and delay_ms changes nothing: give one of them"
            )
        if order.count is not None and order.count < 1:
            raise BadOrderError(
                f"count is {order.count}: give 1 or more, or leave it out to hold until cancelled"
            )
        if order.delay_ms < 0:
            raise BadOrderError(f"delay_ms is {order.delay_ms}: give 0 or more")


def new_order_id() -> str:
    """An id for an order."""
    return f"o{secrets.token_hex(4)}"
