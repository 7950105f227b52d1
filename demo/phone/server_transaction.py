"""The server side of a SIP transaction (RFC 3261 §17.2, with the Accepted state of RFC 6026)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sipmessage import Request, Response

from demo.phone.timers import Timers

Send = Callable[[Response], None]


class ServerTransaction:
    """Answers one request, and answers its retransmissions with the same.

    A 2xx to an INVITE is repeated until ``acknowledged()``, on every transport (RFC 3261 §13.3.1.4); other finals to an
    INVITE until their ACK, on UDP.
    """

    def __init__(
        self,
        request: Request,
        send: Send,
        *,
        reliable: bool,
        timers: Timers,
        on_over: Callable[[], object] | None = None,
        on_unacknowledged: Callable[[], None] | None = None,
    ) -> None:
        self.request = request
        self.final: Response | None = None
        self.on_unacknowledged = on_unacknowledged
        self._loop = asyncio.get_running_loop()
        self._send, self._reliable, self._timers, self._on_over = send, reliable, timers, on_over
        self._invite = request.method == "INVITE"
        self._last: Response | None = None
        self._confirmed = False
        self._resend_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None

    def respond(self, response: Response) -> None:
        """Send a provisional or the final response; anything after the final one is ignored."""
        if self.final is not None:
            return
        self._last = response
        if response.code >= 200:
            self.final = response
            self._arm(response)
        self._send(response)

    def repeated(self) -> None:
        """The same request came again: answer the same again (an answered INVITE is left to its own repetition)."""
        if self._last is None or self._confirmed:
            return
        if self._invite and self.final is not None and self.final.code < 300:
            return
        self._send(self._last)

    def acknowledged(self) -> None:
        """The final response to this INVITE has been acknowledged."""
        if self.final is None or self._confirmed:
            return
        self._confirmed = True
        self._stop_timers()
        # Timer L swallows late retransmissions of an accepted INVITE; timer I late ACKs of a refusal.
        refused = 0.0 if self._reliable else self._timers.t4
        linger = self._timers.give_up if self.final.code < 300 else refused
        self._end_timer = self._loop.call_later(linger, self._finish)

    def abandon(self) -> None:
        """Stop at once and send nothing more."""
        self._finish()

    def _arm(self, response: Response) -> None:
        if not self._invite:
            linger = 0.0 if self._reliable else self._timers.give_up  # timer J
            self._end_timer = self._loop.call_later(linger, self._finish)
            return
        if response.code < 300 or not self._reliable:
            self._resend_timer = self._loop.call_later(self._timers.t1, self._resend, self._timers.t1)
        self._end_timer = self._loop.call_later(self._timers.give_up, self._nobody_acknowledged)  # timer H

    def _resend(self, interval: float) -> None:
        if self.final is not None:
            self._send(self.final)
        longer = min(interval * 2, self._timers.t2)  # timer G
        self._resend_timer = self._loop.call_later(longer, self._resend, longer)

    def _nobody_acknowledged(self) -> None:
        self._finish()
        if self.final is not None and self.final.code < 300 and self.on_unacknowledged is not None:
            self.on_unacknowledged()

    def _stop_timers(self) -> None:
        for timer in (self._resend_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._resend_timer = self._end_timer = None

    def _finish(self) -> None:
        self._stop_timers()
        if self._on_over is not None:
            self._on_over()
            self._on_over = None
