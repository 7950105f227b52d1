"""A call this phone gets (RFC 3261 §13.3), and what it is told to do with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sipmessage import Request

from demo.phone.call import Call, CallState, Ended
from demo.phone.core import Core
from demo.phone.dialog import Dialog
from demo.phone.errors import WrongStateError
from demo.phone.message import Reply, build_response, new_token
from demo.phone.rtp import Audio
from demo.phone.server_transaction import ServerTransaction


@dataclass(frozen=True)
class Answer:
    """What a phone does with an INVITE by itself.

    180 after ``ring_after`` seconds (None: never), then ``status`` after ``answer_after`` more seconds (None: never; the
    script may still call ``answer()``, ``ring()``, ``refuse()``).
    """

    ring_after: float | None = 0
    answer_after: float | None = 0.2
    status: int = 200


class IncomingCall(Call):
    """The callee's side. ``request`` is the INVITE."""

    direction = "in"

    def __init__(self, core: Core, audio: Audio, request: Request, transaction: ServerTransaction) -> None:
        super().__init__(core, audio)
        self.request = request
        self._transaction = transaction
        self._tag = new_token(4)
        self.dialog = Dialog.of_callee(request, self._tag)
        self._policy: asyncio.Task[None] | None = None
        transaction.respond(build_response(request, 100))

    @property
    def call_id(self) -> str:
        """The SIP Call-ID."""
        return self.request.headers["Call-ID"]

    @property
    def caller(self) -> str:
        """The From header: who calls, display name and all."""
        return self.request.headers["From"]

    def follow(self, policy: Answer) -> None:
        """Start doing what ``policy`` says."""
        self._policy = self._core.spawn(self._follow(policy))

    def ring(self) -> None:
        """Send 180."""
        self._pending()
        headers = (("Contact", self._core.contact),)
        self._transaction.respond(build_response(self.request, 180, tag=self._tag, headers=headers))
        self.state = CallState.RINGING
        self._rang = True
        self._core.changes.notify()

    def progress(self) -> None:
        """Send 183 with a session description: whatever is said from now on is heard before the answer (RFC 3960)."""
        self._pending()
        body = self._answer_to(self.request.body)
        if body is None:
            raise WrongStateError("the caller offers no audio this phone speaks")
        headers = (("Contact", self._core.contact), ("Content-Type", "application/sdp"))
        self._transaction.respond(
            build_response(self.request, 183, tag=self._tag, headers=headers, body=body)
        )
        self.state = CallState.RINGING
        self._rang = True
        self._core.changes.notify()

    def answer(self) -> None:
        """Send 200 with a session description, or 488 when the caller offers no audio this phone speaks."""
        self._pending()
        self._stop_policy()
        if not self._accept(self.request, self._transaction, self._tag):
            self._refused()
            return
        self.final = self._sent_reply()
        self._core.changes.notify()

    def refuse(self, status: int = 486, reason: str = "") -> None:
        """Send a final response of 300 or more."""
        self._pending()
        self._transaction.respond(build_response(self.request, status, reason=reason, tag=self._tag))
        self._refused()

    def on_cancel(self, cancel: Request) -> None:
        """The caller has given up; too late when the answer is out (RFC 3261 §9.2)."""
        if self._transaction.final is not None:
            return
        self._transaction.respond(build_response(self.request, 487, tag=self._tag))
        self.final = self._sent_reply()
        self._finish(Ended("cancelled", cancel.headers.get("Reason", "") or ""))

    def answer_cancel(self, cancel: Request, transaction: ServerTransaction) -> None:
        """Answer the CANCEL itself, with the call's own tag."""
        transaction.respond(build_response(cancel, 200, tag=self._tag))

    async def _follow(self, policy: Answer) -> None:
        if policy.ring_after is not None:
            await asyncio.sleep(policy.ring_after)
            self.ring()
        if policy.answer_after is None:
            return
        await asyncio.sleep(policy.answer_after)
        if policy.status < 300:
            self.answer()
        else:
            self.refuse(policy.status)

    async def _end_unanswered(self, reason: str) -> Reply:
        self.refuse(486)
        return self.final or self._sent_reply()

    def _refused(self) -> None:
        self.final = self._sent_reply()
        self._finish(Ended("refused"))

    def _finish(self, end: Ended) -> None:
        self._stop_policy()
        super()._finish(end)

    def _stop_policy(self) -> None:
        if self._policy is not None and self._policy is not asyncio.current_task():
            self._policy.cancel()

    def _on_acknowledged(self) -> None:
        if self.end is None:
            self.state = CallState.ANSWERED
            self._was_answered = True
        super()._on_acknowledged()

    def _pending(self) -> None:
        if self._transaction.final is not None or self.end is not None:
            raise WrongStateError(f"the call is {self.state.value}: it has its final answer already")

    def _sent_reply(self) -> Reply:
        if self._transaction.final is None:
            raise WrongStateError("nothing final was sent yet")
        return Reply.of(self._transaction.final)
