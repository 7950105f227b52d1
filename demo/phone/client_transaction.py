"""The client side of a SIP transaction (RFC 3261 §17.1, with the Accepted state of RFC 6026)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sipmessage import Request, Response

from demo.phone.message import branch_of, build_request, top_via
from demo.phone.timers import Timers

Send = Callable[[Request], None]
OnResponse = Callable[[Request, Response], None]


class ClientTransaction:
    """Sends one request until it is answered.

    ``final`` resolves to the final response; to a 408 or 503 of the phone's own, without headers, when nobody
    answers or the phone goes to sleep (RFC 3261 §8.1.3.1).
    """

    def __init__(
        self,
        request: Request,
        send: Send,
        *,
        reliable: bool,
        timers: Timers,
        on_provisional: OnResponse | None = None,
        on_success: OnResponse | None = None,
        on_over: Callable[[], object] | None = None,
    ) -> None:
        self.request = request
        self.proceeding = False
        self._loop = asyncio.get_running_loop()
        self.final: asyncio.Future[Response] = self._loop.create_future()
        self._send, self._reliable, self._timers = send, reliable, timers
        self._on_provisional, self._on_success, self._on_over = on_provisional, on_success, on_over
        self._invite = request.method == "INVITE"
        self._over = False
        self._resend_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send the request for the first time; timers A/E and B/F run from here."""
        if not self._reliable:
            self._resend_timer = self._loop.call_later(self._timers.t1, self._resend, self._timers.t1)
        self._end_timer = self._loop.call_later(self._timers.give_up, self._nobody_answered)
        self._send(self.request)

    def receive(self, response: Response) -> None:
        """Take a response that matches this transaction."""
        if self._over:
            return
        if response.code < 200:
            self._receive_provisional(response)
            return
        self._stop_timers()
        if self._invite and response.code >= 300:
            self._send(acknowledgement(self.request, response))
        if self._invite and response.code < 300 and self._on_success is not None:
            self._on_success(self.request, response)
        if not self.final.done():
            self.final.set_result(response)
        self._end_timer = self._loop.call_later(self._linger(response), self._finish)

    def expire_in(self, seconds: float) -> None:
        """Give up unless a final response comes within ``seconds``: after a CANCEL (RFC 3261 §9.1)."""
        if not self.final.done() and not self._over:
            if self._end_timer is not None:
                self._end_timer.cancel()
            self._end_timer = self._loop.call_later(seconds, self._nobody_answered)

    def abandon(self, why: str) -> None:
        """Stop at once and send nothing more; ``final`` becomes a 503 that says why."""
        if not self.final.done():
            self.final.set_result(Response(503, why))
        self._finish()

    def _receive_provisional(self, response: Response) -> None:
        if self.final.done():
            return
        self.proceeding = True
        if self._invite:
            self._stop_timers()
        if self._on_provisional is not None:
            self._on_provisional(self.request, response)

    def _resend(self, interval: float) -> None:
        self._send(self.request)
        # Timer E is capped at T2, and runs at T2 once there was a provisional response; timer A just doubles.
        longer = interval * 2
        if not self._invite:
            longer = self._timers.t2 if self.proceeding else min(longer, self._timers.t2)
        self._resend_timer = self._loop.call_later(longer, self._resend, longer)

    def _nobody_answered(self) -> None:
        if not self.final.done():
            self.final.set_result(Response(408, "Nobody answered in time"))
        self._finish()

    def _linger(self, response: Response) -> float:
        if self._invite and response.code < 300:
            return self._timers.give_up  # timer M: repeated 2xx are acknowledged again
        if self._reliable:
            return 0.0
        return self._timers.give_up if self._invite else self._timers.t4  # timers D and K

    def _stop_timers(self) -> None:
        for timer in (self._resend_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._resend_timer = self._end_timer = None

    def _finish(self) -> None:
        self._stop_timers()
        if not self._over:
            self._over = True
            if self._on_over is not None:
                self._on_over()


def acknowledgement(invite: Request, response: Response) -> Request:
    """The ACK of a final response other than 2xx (RFC 3261 §17.1.1.3)."""
    return _sibling(invite, "ACK", response.headers["To"])


def cancellation(invite: Request, reason: str = "") -> Request:
    """The CANCEL of a pending INVITE (RFC 3261 §9.1), with a Reason header (RFC 3326) when one is given."""
    cancel = _sibling(invite, "CANCEL", invite.headers["To"])
    if reason:
        cancel.headers.set("Reason", reason)
    return cancel


def _sibling(invite: Request, method: str, to: str) -> Request:
    number = invite.headers["CSeq"].split()[0]
    headers = [
        ("Via", top_via(invite)),
        ("Max-Forwards", "70"),
        *(("Route", route) for route in invite.headers.getlist("Route")),
        ("From", invite.headers["From"]),
        ("To", to),
        ("Call-ID", invite.headers["Call-ID"]),
        ("CSeq", f"{number} {method}"),
    ]
    return build_request(method, str(invite.uri), headers)


def key_of(message: Request | Response, method: str) -> tuple[str, str]:
    """What a response is matched to its client transaction by (RFC 3261 §17.1.3)."""
    return branch_of(message), method
