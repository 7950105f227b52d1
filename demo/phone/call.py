"""A call as one phone sees it, once it is answered: hold, resume, hang up, and what the other side does of these."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from sipmessage import Request, Response

from demo.phone import sdp
from demo.phone.core import Core
from demo.phone.dialog import Dialog
from demo.phone.errors import CallRefusedError, UnreadableError, WrongStateError
from demo.phone.exchange import ALLOW, Draft
from demo.phone.message import Reply, build_response, sequence_of
from demo.phone.rtp import Audio
from demo.phone.server_transaction import ServerTransaction

PAYLOADS = (sdp.PCMU, sdp.PCMA)


class CallState(enum.Enum):
    """Where a call stands."""

    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@dataclass(frozen=True)
class Ended:
    """How a call ended.

    ``cause``: ``hangup`` (this phone's BYE), ``bye`` (the other's), ``cancelled`` (the caller gave up), ``refused`` (a final
    status of 300 or more), ``lost`` (the phone went to sleep, or its 200 was never acknowledged). ``reason`` is the
    Reason header (RFC 3326) of the message that ended it, empty without one.
    """

    cause: str
    reason: str = ""


class Call:
    """What callers and callees have in common. ``final`` is the final response to the INVITE, None until there is one."""

    direction = ""

    def __init__(self, core: Core, audio: Audio) -> None:
        self.audio = audio
        self.state = CallState.CALLING
        self.final: Reply | None = None
        self.end: Ended | None = None
        self.on_hold = False
        self.held_by_peer = False
        self.dialog: Dialog | None = None
        self._core = core
        self._rang = False
        self._was_answered = False
        self._offering = False
        self._session_version = 0
        self._unacknowledged: dict[int, ServerTransaction] = {}

    @property
    def call_id(self) -> str:
        """The SIP Call-ID."""
        raise NotImplementedError

    @property
    def reason(self) -> str:
        """The Reason header of the message that ended the call; empty before, or without one."""
        return self.end.reason if self.end else ""

    # ------------------------------------------------------------------------------- for scripts

    async def ringing(self, timeout: float = 10.0) -> None:
        """Wait for a 180 or 183; raises CallRefusedError when the call ends without one."""
        await self._until(
            lambda: self._rang or self._was_answered or self.end is not None, timeout, "ringing"
        )
        if not (self._rang or self._was_answered):
            raise self._refusal()

    async def answered(self, timeout: float = 10.0) -> Reply:
        """Wait for the answer, by the callee for the ACK too; raises CallRefusedError when the call ends without one."""
        await self._until(lambda: self._was_answered or self.end is not None, timeout, "answered")
        if not self._was_answered or self.final is None:
            raise self._refusal()
        return self.final

    async def ended(self, timeout: float = 10.0) -> Ended:
        """Wait for the end, whatever it is."""
        await self._until(lambda: self.end is not None, timeout, "ended")
        return self.end or Ended("lost")

    async def hangup(self, reason: str = "") -> Reply:
        """End the call by BYE; before an answer by CANCEL (caller) or 486 (callee)."""
        if self.state is not CallState.ANSWERED:
            return await self._end_unanswered(reason)
        headers = (("Reason", reason),) if reason else ()
        dialog = self._confirmed()
        self._finish(Ended("hangup", reason))
        return Reply.of(await self._core.exchange(dialog.draft("BYE", headers=headers)))

    async def hold(self) -> Reply:
        """Put the other side on hold: a re-INVITE with ``sendonly`` (RFC 3264 §8.4); nothing is sent meanwhile."""
        return await self._reoffer(hold=True)

    async def resume(self) -> Reply:
        """Take the other side off hold."""
        return await self._reoffer(hold=False)

    async def ask_for_offer(self) -> Reply:
        """A re-INVITE without a description: the other side offers in its 200, this one answers in the ACK (RFC 3261 §14.1)."""
        dialog = self._confirmed()
        draft = dialog.draft("INVITE", self._core.contact)
        return Reply.of(await self._core.exchange(draft, on_success=self._on_reinvite_answered))

    # ------------------------------------------------------------------ what the other side does

    def owns(self, request: Request) -> bool:
        """Whether a request within a dialog belongs to this call."""
        return self.dialog is not None and self.dialog.owns(request)

    def on_request(self, request: Request, transaction: ServerTransaction) -> None:
        """Take a request within this call's dialog."""
        if self.end is not None:
            transaction.respond(build_response(request, 481))
        elif request.method == "BYE":
            transaction.respond(build_response(request, 200))
            self._finish(Ended("bye", request.headers.get("Reason", "") or ""))
        elif request.method == "INVITE":
            self._on_reinvite(request, transaction)
        else:
            known = request.method in ALLOW.split(", ")
            allow = () if known else (("Allow", ALLOW),)
            transaction.respond(build_response(request, 200 if known else 405, headers=allow))

    def on_ack(self, request: Request) -> None:
        """Take the ACK of a 2xx; it carries the answer when the 2xx carried the offer."""
        transaction = self._unacknowledged.pop(sequence_of(request), None)
        if transaction is None:
            return
        transaction.acknowledged()
        if not transaction.request.body and request.body:
            self._connect(request.body)
        self._on_acknowledged()

    def drop(self) -> None:
        """Forget the call without a word: the phone goes to sleep."""
        if self.end is None:
            self._finish(Ended("lost"))

    # -------------------------------------------------------------------------------- shared steps

    async def _end_unanswered(self, reason: str) -> Reply:
        raise NotImplementedError

    def _on_acknowledged(self) -> None:
        self._core.changes.notify()

    def _finish(self, end: Ended) -> None:
        if self.end is not None:
            return
        self.end = end
        self.state = CallState.ENDED
        self.audio.close()
        self._core.changes.notify()

    def _offer(self) -> bytes:
        return self._describe("sendonly" if self.on_hold else "sendrecv", PAYLOADS)

    def _describe(self, direction: str, payloads: tuple[int, ...]) -> bytes:
        self._session_version += 1
        stream = sdp.AudioStream(self._core.local, self.audio.port, payloads, direction)
        return stream.render(session=self.audio.port, version=self._session_version)

    def _connect(self, body: bytes) -> None:
        """Direct the audio to where the other side's description says; one without audio changes nothing."""
        try:
            peer = sdp.parse(body)
        except UnreadableError:
            return
        payload = sdp.common_payload(peer, PAYLOADS)
        self.held_by_peer = peer.is_held
        if payload is not None:
            self.audio.connect(peer.address, peer.port, payload, not (self.on_hold or peer.is_held))

    def _answer_to(self, offer: bytes) -> bytes | None:
        """Accept an offer: the answer to send, or None when there is no audio in common."""
        try:
            peer = sdp.parse(offer)
        except UnreadableError:
            return None
        payload = sdp.common_payload(peer, PAYLOADS)
        if payload is None:
            return None
        self._connect(offer)
        return self._describe(sdp.answering_direction(peer.direction, self.on_hold), (payload,))

    def _accept(self, request: Request, transaction: ServerTransaction, tag: str = "") -> bool:
        """Answer an INVITE or re-INVITE with 200 and a session description, or with 488; False for the latter."""
        body = self._answer_to(request.body) if request.body else self._offer()
        if body is None:
            transaction.respond(build_response(request, 488, tag=tag))
            return False
        headers = (("Contact", self._core.contact), ("Allow", ALLOW), ("Content-Type", "application/sdp"))
        self._unacknowledged[sequence_of(request)] = transaction
        transaction.on_unacknowledged = self._on_unacknowledged
        transaction.respond(build_response(request, 200, tag=tag, headers=headers, body=body))
        return True

    def _on_unacknowledged(self) -> None:
        """The other side never acknowledged: end the session (RFC 3261 §13.3.1.4)."""
        if self.end is None and self.dialog is not None:
            draft = self.dialog.draft("BYE")
            self._finish(Ended("lost"))
            self._core.spawn(self._send_bye(draft))

    async def _send_bye(self, draft: Draft) -> None:
        await self._core.exchange(draft)

    def _on_reinvite(self, request: Request, transaction: ServerTransaction) -> None:
        if self._offering or self._unacknowledged:
            transaction.respond(build_response(request, 491))  # glare (RFC 3261 §14.2)
            return
        self._confirmed().retarget(request)
        self._accept(request, transaction)
        self._core.changes.notify()

    async def _reoffer(self, *, hold: bool) -> Reply:
        dialog = self._confirmed()
        before, self.on_hold, self._offering = self.on_hold, hold, True
        try:
            draft = dialog.draft("INVITE", self._core.contact, body=self._offer())
            response = await self._core.exchange(draft, on_success=self._on_reinvite_answered)
        finally:
            self._offering = False
        if response.code >= 300:
            self.on_hold = before
        return Reply.of(response)

    def _on_reinvite_answered(self, invite: Request, response: Response) -> None:
        if self.dialog is None:
            return
        self.dialog.retarget(response)
        if self.end is None and invite.body:
            self._connect(response.body)
        self._acknowledge(self.dialog, invite, response)

    def _acknowledge(self, dialog: Dialog, invite: Request, response: Response) -> None:
        """Send the ACK; it carries the answer when the 2xx carried the offer (RFC 3261 §13.2.1)."""
        answers = bool(response.body) and not invite.body and self.end is None
        body = self._answer_to(response.body) if answers else b""
        self._core.acknowledge(dialog.draft("ACK", body=body or b""), invite)

    def _confirmed(self) -> Dialog:
        if self.state is not CallState.ANSWERED or self.dialog is None:
            raise WrongStateError(f"the call is {self.state.value}: this needs an answered one")
        return self.dialog

    def _refusal(self) -> CallRefusedError:
        if self.final is not None:
            return CallRefusedError(
                f"not answered: {self.final.status} {self.final.reason}", self.final.status
            )
        return CallRefusedError(f"not answered: {self.end.cause if self.end else self.state.value}")

    async def _until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        label = f"{self._core.account.user}'s call ({self.state.value}) {what}"
        await self._core.changes.until(condition, timeout, label)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._core.account.user}: {self.state.value} {self.final or ''}>"
