"""Provisional answers that do not get lost (RFC 3262): a callee says 183 with a description, the caller sends a PRACK."""

from __future__ import annotations

import pytest
from sipmessage import Request, Response

from demo.phone import IncomingCall, OutgoingCall, Phone, Recorded
from demo.phone.dialog import Dialog
from demo.phone.message import Reply, build_response, sequence_of
from demo.phone.server_transaction import ServerTransaction

SUPPORTED = (("Supported", "100rel"),)
_SDP = ("Content-Type", "application/sdp")


def is_reliable(recorded: Recorded) -> bool:
    """Whether this is a provisional answer that wants a PRACK."""
    return (
        recorded.direction == "in"
        and 100 < recorded.status < 200
        and bool(recorded.message.headers.get("RSeq"))
    )


async def acknowledge_early(phone: Phone, call: OutgoingCall, *, offers: bool = False) -> Reply:
    """Acknowledge the reliable provisional answer that comes; the answer to the PRACK.

    The PRACK has the answer when there was an offer; else an offer of its own if it ``offers``.
    """
    response = (await phone.wait_for(is_reliable)).message
    assert isinstance(response, Response)
    invite = next(m.message for m in reversed(phone.messages) if m.method == "INVITE" and not m.status)
    assert isinstance(invite, Request)
    dialog = Dialog.of_caller(invite, response, call._sequence)
    answers = response.body and not invite.body
    body = call._answer_to(response.body) if answers else call._offer() if offers else b""
    rack = ("RAck", f"{response.headers['RSeq']} {response.headers['CSeq']}")
    prack = dialog.draft("PRACK", headers=(rack,), body=body or b"")
    answer = await call._core.exchange(prack)
    if offers:
        call._connect(answer.body)
    return Reply.of(answer)


class EarlyCallee:
    """Takes a call by a reliable 183 with a description, and answers it by a 200 without one."""

    def __init__(self, call: IncomingCall, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pracks: list[Request] = []
        self._call, self._usual = call, call.on_request
        monkeypatch.setattr(call, "on_request", self._on_request)

    def progress(self) -> None:
        """Say 183, with the answer, or the offer when the INVITE makes none."""
        call = self._call
        body = (call._answer_to if call.request.body else lambda _: call._offer())(call.request.body)
        assert body is not None
        headers = (("Contact", call._core.contact), ("Require", "100rel"), ("RSeq", "71"), _SDP)
        call._transaction.respond(
            build_response(call.request, 183, tag=call._tag, headers=headers, body=body)
        )

    async def acknowledged(self) -> Request:
        """The PRACK."""
        await self._call._until(lambda: bool(self.pracks), 5.0, "PRACK")
        return self.pracks[0]

    def answer(self) -> None:
        """Say 200."""
        call, transaction = self._call, self._call._transaction
        call._unacknowledged[sequence_of(call.request)] = transaction
        headers = (("Contact", call._core.contact),)
        transaction.respond(build_response(call.request, 200, tag=call._tag, headers=headers))
        call.final = call._sent_reply()

    def _on_request(self, request: Request, transaction: ServerTransaction) -> None:
        if request.method != "PRACK":
            self._usual(request, transaction)
            return
        self.pracks.append(request)
        if request.body and self._call.request.body:  # an offer: the INVITE's was answered by the 183
            answer = self._call._answer_to(request.body)
            assert answer is not None
            transaction.respond(build_response(request, 200, headers=(_SDP,), body=answer))
        else:
            transaction.respond(build_response(request, 200))
            if request.body:
                self._call._connect(request.body)
        self._call._core.changes.notify()
