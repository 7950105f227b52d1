"""Retransmission and time-out of transactions, in virtual time (RFC 3261 §17, RFC 6026)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sipmessage import Request, Response

from demo.phone.client_transaction import ClientTransaction
from demo.phone.message import build_request, build_response
from demo.phone.server_transaction import ServerTransaction
from demo.phone.timers import Timers

Run = Callable[[Coroutine[Any, Any, None]], None]


def request(method: str = "INVITE") -> Request:
    headers = [
        ("Via", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx"),
        ("From", "<sip:alice@nightbell.test>;tag=a"),
        ("To", "<sip:bob@nightbell.test>"),
        ("Call-ID", "c"),
        ("CSeq", f"3 {method}"),
        ("Route", "<sip:127.0.0.9;lr>"),
    ]
    return build_request(method, "sip:bob@nightbell.test", headers)


class Wire:
    """Notes what is sent, and when."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, Request | Response]] = []
        self.over = False

    def send(self, message: Request | Response) -> None:
        self.sent.append((round(asyncio.get_running_loop().time(), 3), message))

    def end(self) -> None:
        self.over = True

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]

    @property
    def methods(self) -> list[str]:
        return [message.method for _, message in self.sent if isinstance(message, Request)]

    def client(self, sent: Request, *, reliable: bool = False, **hooks: Any) -> ClientTransaction:
        transaction = ClientTransaction(
            sent, self.send, reliable=reliable, timers=Timers(), on_over=self.end, **hooks
        )
        transaction.start()
        return transaction

    def server(self, received: Request, *, reliable: bool = False) -> ServerTransaction:
        return ServerTransaction(received, self.send, reliable=reliable, timers=Timers(), on_over=self.end)


def test_an_unanswered_invite_is_sent_seven_times_in_32_seconds(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        final = await wire.client(request()).final
        assert final.code == 408
        assert wire.times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
        assert asyncio.get_running_loop().time() == pytest.approx(32)
        assert wire.over

    run_in_virtual_time(story())


def test_an_unanswered_register_is_sent_at_most_every_four_seconds(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        assert (await wire.client(request("REGISTER")).final).code == 408
        assert wire.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]

    run_in_virtual_time(story())


@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
def test_nothing_is_repeated_over_a_reliable_transport(run_in_virtual_time: Run, method: str) -> None:
    async def story() -> None:
        wire = Wire()
        assert (await wire.client(request(method), reliable=True).final).code == 408
        assert wire.times == [0]

    run_in_virtual_time(story())


def test_a_provisional_reply_ends_an_invites_repetition_and_its_time_out(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire, rung = Wire(), []
        sent = request()
        transaction = wire.client(sent, on_provisional=lambda _, response: rung.append(response.code))
        transaction.receive(build_response(sent, 180, tag="b"))
        await asyncio.sleep(300)
        assert wire.times == [0]
        assert rung == [180]
        assert not transaction.final.done()

    run_in_virtual_time(story())


def test_a_provisional_reply_slows_a_register_down(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        sent = request("REGISTER")
        transaction = wire.client(sent)
        transaction.receive(build_response(sent, 100))
        await asyncio.sleep(9)
        assert wire.times == [0, 0.5, 4.5, 8.5]
        assert (await transaction.final).code == 408

    run_in_virtual_time(story())


def test_a_refusal_is_acknowledged_each_time_it_comes(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        sent = request()
        transaction = wire.client(sent)
        refusal = build_response(sent, 486, tag="b")
        transaction.receive(refusal)
        transaction.receive(refusal)
        assert (await transaction.final).code == 486
        assert wire.methods == ["INVITE", "ACK", "ACK"]
        ack = wire.sent[1][1]
        assert ack.headers["To"].endswith(";tag=b")
        assert ack.headers["Via"] == sent.headers["Via"]
        assert ack.headers["Route"] == "<sip:127.0.0.9;lr>"
        assert ack.headers["CSeq"] == "3 ACK"
        await asyncio.sleep(32)
        assert wire.over

    run_in_virtual_time(story())


def test_a_repeated_2xx_is_handed_up_each_time(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire, answers = Wire(), []
        sent = request()
        transaction = wire.client(sent, on_success=lambda _, response: answers.append(response.code))
        for _ in range(3):
            transaction.receive(build_response(sent, 200, tag="b"))
            await asyncio.sleep(1)
        assert answers == [200, 200, 200]
        assert wire.methods == ["INVITE"]

    run_in_virtual_time(story())


def test_an_abandoned_request_says_why(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        transaction = wire.client(request())
        transaction.abandon("asleep")
        await asyncio.sleep(40)
        assert ((await transaction.final).code, (await transaction.final).phrase) == (503, "asleep")
        assert wire.times == [0]

    run_in_virtual_time(story())


def test_a_refusal_is_repeated_over_udp_until_its_ack(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        received = request()
        transaction = wire.server(received)
        transaction.respond(build_response(received, 486, tag="b"))
        await asyncio.sleep(8)
        assert wire.times == [0, 0.5, 1.5, 3.5, 7.5]
        transaction.acknowledged()
        await asyncio.sleep(20)
        assert len(wire.times) == 5
        assert wire.over

    run_in_virtual_time(story())


def test_a_refusal_is_sent_once_over_a_reliable_transport(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        received = request()
        wire.server(received, reliable=True).respond(build_response(received, 486, tag="b"))
        await asyncio.sleep(40)
        assert wire.times == [0]
        assert wire.over

    run_in_virtual_time(story())


@pytest.mark.parametrize("reliable", [True, False])
def test_a_2xx_is_repeated_on_every_transport_until_its_ack(run_in_virtual_time: Run, reliable: bool) -> None:
    async def story() -> None:
        wire, gone = Wire(), []
        received = request()
        transaction = wire.server(received, reliable=reliable)
        transaction.on_unacknowledged = lambda: gone.append(asyncio.get_running_loop().time())
        transaction.respond(build_response(received, 200, tag="b"))
        await asyncio.sleep(40)
        assert wire.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
        assert gone == [32]

    run_in_virtual_time(story())


def test_a_repeated_request_gets_the_same_answer(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        received = request("OPTIONS")
        transaction = wire.server(received)
        transaction.repeated()
        assert wire.sent == []
        transaction.respond(build_response(received, 200, tag="b"))
        transaction.respond(build_response(received, 500, tag="b"))
        transaction.repeated()
        assert [message.code for _, message in wire.sent if isinstance(message, Response)] == [200, 200]
        await asyncio.sleep(33)
        assert wire.over

    run_in_virtual_time(story())


def test_an_answered_invite_that_comes_again_is_swallowed(run_in_virtual_time: Run) -> None:
    async def story() -> None:
        wire = Wire()
        received = request()
        transaction = wire.server(received)
        transaction.respond(build_response(received, 200, tag="b"))
        transaction.acknowledged()
        transaction.repeated()
        await asyncio.sleep(31)
        assert not wire.over
        assert wire.times == [0]
        await asyncio.sleep(2)
        assert wire.over

    run_in_virtual_time(story())
