"""A call this phone makes (RFC 3261 §13.2, CANCEL §9.1)."""

from __future__ import annotations

from sipmessage import Request, Response

from demo.phone.call import Call, CallState, Ended
from demo.phone.client_transaction import ClientTransaction, cancellation
from demo.phone.core import Core
from demo.phone.dialog import Dialog
from demo.phone.errors import WrongStateError
from demo.phone.exchange import Draft, Sequence
from demo.phone.message import Reply, new_token, tag_of
from demo.phone.rtp import Audio


class OutgoingCall(Call):
    """The caller's side. With ``late_offer`` the callee is to offer, in its 200."""

    direction = "out"

    def __init__(
        self,
        core: Core,
        audio: Audio,
        target: str,
        headers: tuple[tuple[str, str], ...] = (),
        late_offer: bool = False,
    ) -> None:
        super().__init__(core, audio)
        self._sequence = Sequence()
        self._draft = Draft(
            method="INVITE",
            uri=target,
            sender=f"{core.account.address};tag={new_token(4)}",
            recipient=f"<{target}>",
            call_id=new_token(12),
            sequence=self._sequence,
            contact=core.contact,
            headers=headers,
            body=b"" if late_offer else self._offer(),
        )
        self._transaction: ClientTransaction | None = None
        self._cancel_reason: str | None = None

    @property
    def call_id(self) -> str:
        """The SIP Call-ID."""
        return self._draft.call_id

    async def run(self) -> None:
        """Send the INVITE and follow it to its final response."""
        response = await self._core.exchange(
            self._draft,
            on_sent=self._on_sent,
            on_provisional=self._on_provisional,
            on_success=self._on_success,
        )
        if response.code >= 300:
            self.final = Reply.of(response)
            if self._cancel_reason is not None and response.code in (408, 487):
                self._finish(Ended("cancelled", self._cancel_reason))
            else:
                self._finish(Ended("refused", response.headers.get("Reason", "") or ""))

    async def cancel(self, reason: str = "") -> Reply:
        """Give up before the answer; returns the answer to the CANCEL, and ``final`` becomes 487 soon after.

        Waits for a provisional response first, as it must. An answer that crosses the CANCEL is acknowledged and ended
        by BYE.
        """
        if self._was_answered or self.end is not None:
            raise WrongStateError(f"the call is {self.state.value}: too late for a CANCEL")
        self._cancel_reason = reason
        await self._until(self._can_cancel, self._core.endpoint.timers.give_up, "a provisional response")
        if self.final is not None or self._transaction is None:
            return self.final or Reply(481, "There is no transaction to cancel")
        cancel = self._core.endpoint.request(cancellation(self._transaction.request, reason))
        response = await cancel.final
        self._transaction.expire_in(self._core.endpoint.timers.give_up)
        return Reply.of(response)

    def _can_cancel(self) -> bool:
        return self.final is not None or (self._transaction is not None and self._transaction.proceeding)

    async def _end_unanswered(self, reason: str) -> Reply:
        return await self.cancel(reason)

    def _on_sent(self, transaction: ClientTransaction) -> None:
        self._transaction = transaction

    def _on_provisional(self, invite: Request, response: Response) -> None:
        if self.end is not None:
            return
        if response.code > 100:
            self.state = CallState.RINGING
            self._rang = True
        if self._draft.body:
            self._connect(response.body)
        self._core.changes.notify()

    def _on_success(self, invite: Request, response: Response) -> None:
        """Take a 2xx, the first, a repeated one, or one of another fork (RFC 3261 §13.2.2.4)."""
        dialog = Dialog.of_caller(invite, response, self._sequence)
        if self.dialog is not None and tag_of(self.dialog.remote) != tag_of(dialog.remote):
            self._refuse_fork(invite, Dialog.of_caller(invite, response, Sequence(self._sequence.last)))
            return
        if self.dialog is None:
            self.dialog = dialog
            self.final = Reply.of(response)
            self._begin(response)
        self._acknowledge(self.dialog, invite, response)
        if self.end is None and self._cancel_reason is not None:
            self._finish(Ended("cancelled", self._cancel_reason))
            self._core.spawn(self._send_bye(self.dialog.draft("BYE")))
        self._core.changes.notify()

    def _begin(self, response: Response) -> None:
        if self._cancel_reason is None and self.end is None:
            self.state = CallState.ANSWERED
            self._was_answered = True
            if self._draft.body:
                self._connect(response.body)

    def _refuse_fork(self, invite: Request, dialog: Dialog) -> None:
        self._core.acknowledge(dialog.draft("ACK"), invite)
        self._core.spawn(self._send_bye(dialog.draft("BYE")))
