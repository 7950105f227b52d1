"""Offers within a call as the test wants them: refused, never answered, given up, or made by UPDATE (RFC 3311)."""

from __future__ import annotations

import asyncio

import pytest
from sipmessage import Request, Response

from demo.phone import Call
from demo.phone.call import PAYLOADS
from demo.phone.client_transaction import ClientTransaction, cancellation
from demo.phone.message import Reply, build_response
from demo.phone.sdp import AudioStream
from demo.phone.server_transaction import ServerTransaction
from tests.fixtures.webrtc import WebRtcCall

SILENCE = 0  # nothing is answered at all


class Offered:
    """What a call's end does with the offers within it: ``status`` refuses them, None takes them, UPDATEs too.

    ``once`` refuses the next of them alone.
    """

    def __init__(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        self.status: int | None = None
        self.once: int | None = None
        self.transactions: list[ServerTransaction] = []
        self._call, self._usual = call, call.on_request
        monkeypatch.setattr(call, "on_request", self._on_request)

    def _on_request(self, request: Request, transaction: ServerTransaction) -> None:
        if request.method == "UPDATE" and not request.body:
            transaction.respond(build_response(request, 200))
            return
        if request.method not in ("INVITE", "UPDATE") or not request.body:
            self._usual(request, transaction)
            return
        self.transactions.append(transaction)
        self._call._core.changes.notify()
        status, self.once = self.status if self.once is None else self.once, None
        if status is not None:
            if status:
                transaction.respond(build_response(request, status))
        elif request.method == "INVITE":
            self._usual(request, transaction)
        else:
            self._call._core.spawn(self._take(request, transaction))

    async def _take(self, request: Request, transaction: ServerTransaction) -> None:
        if isinstance(self._call, WebRtcCall):
            await self._call.prepare_answer(request)
        body = self._call._answer_to(request.body)
        assert body is not None
        headers = (("Content-Type", "application/sdp"),)
        transaction.respond(build_response(request, 200, headers=headers, body=body))


def describe_elsewhere(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this end offers to hear at a port where nobody listens, and never to be heard."""
    stream = AudioStream(call._core.local, 9, PAYLOADS, "sendonly")
    monkeypatch.setattr(call, "_offer", lambda: stream.render(session=call.audio.port, version=9))


async def refresh_by_update(call: Call) -> Reply:
    """Say by UPDATE that one is still there (RFC 4028)."""
    return Reply.of(await _update(call, b""))


async def offer_by_update(call: Call) -> Reply:
    """Offer by UPDATE, and take the answer."""
    answer = await _update(call, call._offer())
    if answer.code == 200:
        call._connect(answer.body)
    return Reply.of(answer)


async def _update(call: Call, body: bytes) -> Response:
    assert call.dialog is not None
    return await call._core.exchange(call.dialog.draft("UPDATE", call._core.contact, body=body))


async def give_up_an_offer(call: Call, other: Offered) -> Reply:
    """Offer by re-INVITE and CANCEL that once ``other``, who lets it ring, has it; the answer to the re-INVITE."""
    assert call.dialog is not None
    other.status = 180
    sent: list[ClientTransaction] = []
    draft = call.dialog.draft("INVITE", call._core.contact, body=call._offer())
    answered = asyncio.create_task(call._core.exchange(draft, on_sent=sent.append))
    await call._until(lambda: bool(other.transactions), 5.0, "the re-INVITE has come")
    cancelled = call._core.endpoint.request(cancellation(sent[0].request))
    assert (await cancelled.final).code == 200
    reinvite = other.transactions[-1]
    reinvite.respond(build_response(reinvite.request, 487))
    return Reply.of(await answered)
