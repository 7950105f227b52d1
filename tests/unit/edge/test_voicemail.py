"""Alerts for new voice messages."""

from __future__ import annotations

import asyncio

from control.domain.push import ALERT, Outcome, Purpose, PushNotice, PushToken, Verdict
from control.edge.recorder import VoicemailTold
from control.edge.tokens import TokenBook
from control.edge.voicemail import GOOD_FOR_S, VoicemailPusher
from control.edge.wake_limits import WakeLimits
from kemi.wire import VoicemailEvent

NOW = 1_800_000_000.0
CALLS = PushToken("apns", "org.example.phone.voip", "production", "aa11")
ALERTS = PushToken("apns", "org.example.phone", "production", "bb22", kind=ALERT)
OTHERS = PushToken("apns", "org.example.phone", "production", "cc33", kind=ALERT)


def limits() -> WakeLimits:
    return WakeLimits(20, 0, "voice messages")


async def test_p1_new_voice_messages_are_an_alert_and_its_verdict_is_learnt_from() -> None:
    pushed: list[tuple[PushToken, PushNotice]] = []
    learnt: list[tuple[str, PushToken, Outcome]] = []
    done = asyncio.Event()

    async def dispatch(token: PushToken, notice: PushNotice) -> Verdict:
        pushed.append((token, notice))
        return Verdict(Outcome.TOKEN_DEAD, 410, "Unregistered", unregistered_at=NOW)

    def learn(device: str, token: PushToken, verdict: Verdict) -> None:
        learnt.append((device, token, verdict.outcome))
        done.set()

    tokens = TokenBook()
    tokens.put("alice-1", [CALLS, ALERTS], NOW - 60)
    tokens.put("alice-2", [CALLS], NOW - 60)
    told: list[VoicemailTold] = []
    pusher = VoicemailPusher(
        tokens=tokens, dispatch=dispatch, learn=learn, remember=told.append, limits=limits(), now=lambda: NOW
    )
    pusher.waiting(VoicemailEvent(NOW, "c1", 2, ["alice-1", "alice-1", "alice-2"]))
    async with asyncio.timeout(3):
        await done.wait()
    ((token, notice),) = pushed
    assert (token, notice.purpose, notice.deadline) == (ALERTS, Purpose.VOICEMAIL, NOW + GOOD_FOR_S)
    assert notice.caller is None
    assert learnt == [("alice-1", ALERTS, Outcome.TOKEN_DEAD)]
    assert pusher.counters["token_dead"] == 1
    assert told == [VoicemailTold("alice-1", NOW, "voicemail-refused", 410, "apns Unregistered")]
    await pusher.close()


async def test_w13_a_mailbox_that_is_told_of_too_often_pushes_no_more_and_costs_no_other() -> None:
    pushed: list[str] = []
    told: list[VoicemailTold] = []
    enough = asyncio.Event()

    async def dispatch(token: PushToken, notice: PushNotice) -> Verdict:
        pushed.append(token.token)
        return Verdict(Outcome.DELIVERED, 200, provider_id="A1")

    def remember(what: VoicemailTold) -> None:
        told.append(what)
        if len(told) == 5:
            enough.set()

    tokens = TokenBook()
    tokens.put("alice-1", [ALERTS], NOW - 60)
    tokens.put("bob-1", [OTHERS], NOW - 60)
    pusher = VoicemailPusher(
        tokens=tokens,
        dispatch=dispatch,
        learn=lambda *_: None,
        remember=remember,
        limits=WakeLimits(3, 0, "voice messages"),
        now=lambda: NOW,
    )
    for new in range(4):
        pusher.waiting(VoicemailEvent(NOW, "c1", new, ["alice-1"]))
        pusher.waiting(VoicemailEvent(NOW, "c3", new, ["nobody-can-be-told"]))
    pusher.waiting(VoicemailEvent(NOW, "c2", 1, ["bob-1"]))
    async with asyncio.timeout(3):
        await enough.wait()
    assert sorted(pushed) == ["bb22"] * 3 + ["cc33"]
    assert [t for t in told if t.done == "voicemail-withheld"] == [
        VoicemailTold(
            "alice-1", NOW, "voicemail-withheld", 0, "more than 3 voice messages a minute for this person"
        )
    ]
    assert told.count(VoicemailTold("alice-1", NOW, "voicemail-pushed", 200, "apns")) == 3
    assert (pusher.counters["withheld"], pusher.counters["delivered"]) == (1, 4)
    await pusher.close()


async def test_closing_ends_what_is_under_way() -> None:
    async def dispatch(token: PushToken, notice: PushNotice) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    tokens = TokenBook()
    tokens.put("alice-1", [ALERTS], NOW - 60)
    pusher = VoicemailPusher(
        tokens=tokens,
        dispatch=dispatch,
        learn=lambda *_: None,
        remember=lambda _: None,
        limits=limits(),
        now=lambda: NOW,
    )
    pusher.waiting(VoicemailEvent(NOW, "c1", 2, ["alice-1"]))
    await asyncio.sleep(0)
    await pusher.close()
    assert not pusher.counters
