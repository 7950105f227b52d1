"""Calls between two phones through the switchboard: signalling and tones, over every transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest
from sipmessage import Request

from demo.phone import (
    Answer,
    Call,
    CallRefusedError,
    CallState,
    IncomingCall,
    OutgoingCall,
    Phone,
    StillWaitingError,
    Timers,
    WrongStateError,
    sdp,
)
from demo.phone.message import tag_of
from demo.phone.rtp import Audio

if TYPE_CHECKING:
    from tests.unit.phone.switchboard import Parsed, Switchboard

MakePhone = Callable[..., Phone]
TRANSPORTS = ["udp", "tcp", "tls", "ws", "wss"]
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


class Talk(NamedTuple):
    alice: Phone
    bob: Phone
    out: OutgoingCall
    into: IncomingCall


async def ring(
    make: MakePhone, policy: Answer, transport: str = "udp", callee: str = "udp", **options: object
) -> Talk:
    """Alice calls Bob, who does what the policy says."""
    alice, bob = make("alice", transport, **options), make("bob", callee, **options)
    await asyncio.gather(alice.wake(), bob.wake())
    bob.on_invite = policy
    out = await alice.call("bob")
    return Talk(alice, bob, out, await bob.incoming())


async def talk(make: MakePhone, transport: str = "udp", callee: str = "udp", **options: object) -> Talk:
    """Alice calls Bob, and he answers."""
    talking = await ring(make, Answer(answer_after=0), transport, callee, **options)
    assert (await talking.out.answered()).status == 200
    await talking.into.answered()
    return talking


async def hear_each_other(one: Call, other: Call) -> bool:
    one.audio.send_tone(440)
    other.audio.send_tone(660)
    return all(await asyncio.gather(other.audio.heard(440), one.audio.heard(660)))


def methods(phone: Phone, direction: str) -> list[str]:
    return [
        m.message.method
        for m in phone.messages
        if m.direction == direction and isinstance(m.message, Request)
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_with_audio_both_ways_ended_by_the_caller(make: MakePhone, transport: str) -> None:
    talking = await ring(make, Answer(answer_after=0.1), transport, transport)
    await talking.out.ringing()
    assert (await talking.out.answered()).reason == "OK"
    await talking.into.answered()
    assert await hear_each_other(talking.out, talking.into)
    assert (await talking.out.hangup()).status == 200
    assert (await talking.into.ended()).cause == "bye"
    assert (await talking.out.ended()).cause == "hangup"
    assert talking.out.state is talking.into.state is CallState.ENDED


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_hold_and_resume_from_both_sides(make: MakePhone, transport: str) -> None:
    talking = await talk(make, transport, "udp")
    sides: list[tuple[Call, Call]] = [(talking.out, talking.into), (talking.into, talking.out)]
    for holder, held in sides:
        assert await hear_each_other(talking.out, talking.into)
        assert (await holder.hold()).status == 200
        assert held.held_by_peer
        assert await holder.audio.silent(for_=0.2)
        assert await held.audio.silent(for_=0.2)
        assert (await holder.resume()).status == 200
        assert not held.held_by_peer
    assert await hear_each_other(talking.out, talking.into)


async def test_both_hold_and_resume_in_turn(make: MakePhone) -> None:
    talking = await talk(make)
    await talking.out.hold()
    await talking.into.hold()
    await talking.out.resume()
    assert talking.out.held_by_peer
    assert not talking.into.held_by_peer
    await talking.into.resume()
    assert await hear_each_other(talking.out, talking.into)


async def test_the_callee_hangs_up_with_a_reason(make: MakePhone) -> None:
    talking = await talk(make)
    await talking.into.hangup(reason='Q.850;cause=16;text="done"')
    ended = await talking.out.ended()
    assert ended.cause == "bye"
    assert ended.reason == 'Q.850;cause=16;text="done"'
    assert (await talking.into.ended()).cause == "hangup"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_w6_a_cancel_brings_its_reason_and_ends_in_487(make: MakePhone, transport: str) -> None:
    talking = await ring(make, Answer(answer_after=None), transport, transport)
    await talking.out.ringing()
    assert (await talking.out.cancel(reason=ELSEWHERE)).status == 200
    assert (await talking.out.ended()).cause == "cancelled"
    assert (await talking.into.ended()).cause == "cancelled"
    assert talking.into.reason == ELSEWHERE
    assert talking.out.final is not None
    assert talking.out.final.status == 487
    assert talking.into.final is not None
    assert talking.into.final.status == 487
    with pytest.raises(CallRefusedError, match="487"):
        await talking.out.answered()


async def test_a_cancel_waits_for_a_provisional_reply(make: MakePhone, switchboard: Switchboard) -> None:
    alice, bob = make("alice", timers=Timers(t1=0.05)), make("bob")
    await asyncio.gather(alice.wake(), bob.wake())
    bob.on_invite = Answer(answer_after=None)
    lost = iter([True, True])
    switchboard.lose = lambda message, direction: direction == "in" and next(lost, False)
    call = await alice.call("bob")
    await call.cancel()
    await call.ended()
    assert [m for m in methods(alice, "out") if m != "REGISTER"] == ["INVITE"] * 3 + ["CANCEL", "ACK"]


async def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended(make: MakePhone) -> None:
    talking = await ring(make, Answer(answer_after=None))
    await talking.out.ringing()
    talking.into.answer()
    await talking.out.cancel()
    assert (await talking.out.ended()).cause == "cancelled"
    assert (await talking.into.ended()).cause == "bye"


@pytest.mark.parametrize("status", [486, 480, 603])
async def test_a_refusal_reaches_the_caller(make: MakePhone, status: int) -> None:
    talking = await ring(make, Answer(answer_after=0, status=status))
    with pytest.raises(CallRefusedError) as refused:
        await talking.out.answered()
    assert refused.value.status == status
    assert (await talking.out.ended()).cause == "refused"
    assert (await talking.into.ended()).cause == "refused"


async def test_a_refusals_reason_header_is_kept(make: MakePhone, switchboard: Switchboard) -> None:
    alice = make("alice")
    await alice.wake()
    call = await alice.call("carol")
    await call.ended()
    assert call.final is not None
    assert call.final.status == 480
    assert call.final.headers["Reason"] == call.reason == 'Q.850;cause=20;text="asleep"'


async def test_a_phone_that_never_rings_and_never_answers(make: MakePhone) -> None:
    talking = await ring(make, Answer(ring_after=None, answer_after=None))
    with pytest.raises(StillWaitingError, match="ringing"):
        await talking.out.ringing(timeout=0.2)
    talking.into.ring()
    await talking.out.ringing()
    talking.into.answer()
    await talking.out.answered()
    with pytest.raises(WrongStateError):
        talking.into.answer()


async def test_a_script_may_refuse_what_still_rings(make: MakePhone) -> None:
    talking = await ring(make, Answer(answer_after=30))
    await talking.out.ringing()
    assert (await talking.into.hangup()).status == 486
    with pytest.raises(CallRefusedError, match="486"):
        await talking.out.answered()


async def test_a_challenged_invite_is_sent_again_with_the_next_cseq(
    make: MakePhone, switchboard: Switchboard
) -> None:
    switchboard.challenge.add("INVITE")
    talking = await talk(make)
    invites = [
        m.message
        for m in talking.alice.messages
        if m.direction == "out" and isinstance(m.message, Request) and m.message.method in ("INVITE", "ACK")
    ]
    assert [(m.method, m.cseq.sequence) for m in invites] == [
        ("INVITE", 1),
        ("ACK", 1),
        ("INVITE", 2),
        ("ACK", 2),
    ]
    assert len({tag_of(m.headers["From"]) for m in invites}) == 1
    # RFC 3261 §22.1: the ACK of a 2xx carries the credentials of its INVITE
    assert invites[3].headers["Proxy-Authorization"] == invites[2].headers["Proxy-Authorization"]
    await talking.out.hangup()


@pytest.mark.parametrize("method", ["INVITE", "ACK", "BYE"])
async def test_a_lost_request_is_made_up_for(make: MakePhone, switchboard: Switchboard, method: str) -> None:
    losses = [True, True]

    def lose(message: Parsed, direction: str) -> bool:
        return isinstance(message, Request) and message.method == method and bool(losses) and losses.pop()

    switchboard.lose = lose
    talking = await talk(make, timers=Timers(t1=0.05))
    assert await hear_each_other(talking.out, talking.into)
    assert (await talking.out.hangup()).status == 200
    assert (await talking.into.ended()).cause == "bye"
    assert not losses
    assert len(talking.bob.invites) == 1


async def test_a_lost_200_is_made_up_for_and_acknowledged_again(
    make: MakePhone, switchboard: Switchboard
) -> None:
    losses = [True, True]

    def lose(message: Parsed, direction: str) -> bool:
        answer = not isinstance(message, Request) and message.code == 200
        return answer and message.cseq.method == "INVITE" and bool(losses) and losses.pop()

    switchboard.lose = lose
    talking = await talk(make, timers=Timers(t1=0.05))
    await talking.out.hangup()
    assert not losses


async def test_an_answer_nobody_acknowledges_ends_in_bye(make: MakePhone, switchboard: Switchboard) -> None:
    switchboard.lose = lambda message, direction: isinstance(message, Request) and message.method == "ACK"
    talking = await ring(make, Answer(answer_after=0), timers=Timers(t1=0.01, t2=0.04))
    await talking.out.answered()
    assert (await talking.into.ended()).cause == "lost"
    assert (await talking.out.ended()).cause == "bye"


async def test_no_audio_in_common_is_488(make: MakePhone) -> None:
    talking = await ring(make, Answer(answer_after=None))
    talking.into.request.body = talking.into.request.body.replace(b"RTP/AVP 0 8", b"RTP/AVP 18")
    talking.into.answer()
    with pytest.raises(CallRefusedError, match="488"):
        await talking.out.answered()


async def test_an_invite_without_an_offer_gets_one_and_its_ack_answers(make: MakePhone) -> None:
    bob = make("bob")
    await bob.start()
    bob.on_invite = Answer(answer_after=0)
    receive = bob._core.endpoint.receive  # type: ignore[union-attr]
    common = "From: <sip:pbx@127.0.42.1>;tag=p\r\nCall-ID: late-offer\r\nContact: <sip:127.0.42.1:9>\r\n"
    via = "Via: SIP/2.0/UDP 127.0.42.1:9;branch=z9hG4bK"
    invite = (
        f"INVITE sip:bob@h.test SIP/2.0\r\n{via}1\r\nTo: <sip:bob@h.test>\r\nCSeq: 1 INVITE\r\n{common}\r\n"
    )
    receive(invite.encode(), ("127.0.42.1", 9))
    answered = await bob.wait_for(lambda m: m.direction == "out" and m.status == 200)
    offer = sdp.parse(answered.message.body)
    call = await bob.incoming()
    assert offer.port == call.audio.port
    far_end = Audio("127.0.42.1")
    to = answered.message.headers["To"]
    ack = f"ACK sip:bob@h.test SIP/2.0\r\n{via}2\r\nTo: {to}\r\nCSeq: 1 ACK\r\n{common}\r\n".encode()
    receive(ack + sdp.AudioStream("127.0.42.1", far_end.port, (8,)).render(1, 1), ("127.0.42.1", 9))
    await call.answered()
    call.audio.send_tone(440)
    assert await far_end.heard(440)
    far_end.close()


async def test_holds_that_cross_are_both_refused_as_glare(make: MakePhone) -> None:
    talking = await talk(make)
    replies = await asyncio.gather(talking.out.hold(), talking.into.hold())
    assert [reply.status for reply in replies] == [491, 491]
    assert not talking.out.on_hold
    assert not talking.into.on_hold
    assert (await talking.out.hold()).status == 200
    assert talking.into.held_by_peer


async def test_sleeping_in_a_call_says_nothing(make: MakePhone) -> None:
    talking = await talk(make)
    sent = len(talking.bob.messages)
    await talking.bob.sleep()
    assert (await talking.into.ended()).cause == "lost"
    assert len(talking.bob.messages) == sent
    assert talking.out.state is CallState.ANSWERED


async def test_two_calls_at_once_do_not_mix(make: MakePhone) -> None:
    first = await talk(make)
    carol = make("carol")
    await carol.wake()
    second_out = await carol.call("bob")
    second_in = await first.bob.incoming()
    await second_out.answered()
    first.out.audio.send_tone(440)
    second_out.audio.send_tone(880)
    assert await first.into.audio.heard(440)
    assert await second_in.audio.heard(880)
    await second_out.hangup()
    await second_in.ended()
    assert first.into.state is CallState.ANSWERED
    assert await first.into.audio.heard(440)


async def test_w4_the_same_invite_on_a_second_branch_is_refused_as_a_loop(make: MakePhone) -> None:
    talking = await ring(make, Answer(answer_after=None))
    again = bytes(talking.into.request).replace(b"branch=z9hG4bK", b"branch=z9hG4bKother", 1)
    endpoint = talking.bob._core.endpoint  # type: ignore[union-attr]
    endpoint.receive(again, talking.bob.server)
    await talking.bob.wait_for(lambda m: m.direction == "out" and m.status == 482)
    endpoint.receive(bytes(talking.into.request), talking.bob.server)
    assert len(talking.bob.invites) == 1


async def test_a_request_outside_any_call_is_481(make: MakePhone) -> None:
    talking = await talk(make)
    await talking.out.hangup()
    bye = next(m.message for m in talking.bob.messages if m.method == "BYE")
    stray = bytes(bye).replace(b"branch=z9hG4bK", b"branch=z9hG4bKstray").replace(b"Call-ID: ", b"Call-ID: x")
    talking.bob._core.endpoint.receive(stray, talking.bob.server)  # type: ignore[union-attr]
    await talking.bob.wait_for(lambda m: m.direction == "out" and m.status == 481)


async def test_options_is_answered_and_noise_is_kept_apart(make: MakePhone) -> None:
    talking = await talk(make)
    endpoint = talking.bob._core.endpoint  # type: ignore[union-attr]
    invite = bytes(talking.into.request).partition(b"\r\n\r\n")[0]
    for method, status in ((b"OPTIONS", 200), (b"NOTIFY", 200), (b"PUBLISH", 405)):
        request = invite.replace(b"INVITE", method).replace(b"z9hG4bK", b"z9hG4bK" + method) + b"\r\n\r\n"
        endpoint.receive(request, talking.bob.server)
        await talking.bob.wait_for(
            lambda m, method=method, status=status: m.method == method.decode() and m.status == status  # type: ignore[misc]
        )
    endpoint.receive(b"\r\n\r\n", talking.bob.server)
    endpoint.receive(b"\xff\xff nonsense", talking.bob.server)
    assert [data for _, data in talking.bob.unreadable] == [b"\xff\xff nonsense"]


async def test_raw_bytes_reach_the_server(make: MakePhone, switchboard: Switchboard) -> None:
    alice = make("alice")
    await alice.start()
    await alice.send_raw(b"REGISTER \xff\r\n\r\n")
    reply = await alice.wait_for(lambda m: m.status == 400)
    assert reply.direction == "in"
    with pytest.raises(StillWaitingError):
        await alice.wait_for(lambda m: m.status == 200, timeout=0.05)
