"""Alerts for new voice messages."""

from __future__ import annotations

import asyncio

from control.domain.push import ALERT, Outcome, Purpose, PushNotice, PushToken, Verdict
from control.edge.tokens import TokenBook
from control.edge.voicemail import GOOD_FOR_S, VoicemailPusher
from kemi.wire import VoicemailEvent

NOW = 1_800_000_000.0
CALLS = PushToken("apns", "org.example.phone.voip", "production", "aa11")
ALERTS = PushToken("apns", "org.example.phone", "production", "bb22", kind=ALERT)


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
    pusher = VoicemailPusher(tokens=tokens, dispatch=dispatch, learn=learn, now=lambda: NOW)
    pusher.waiting(VoicemailEvent(NOW, "c1", 2, ["alice-1", "alice-1", "alice-2"]))
    async with asyncio.timeout(3):
        await done.wait()
    ((token, notice),) = pushed
    assert (token, notice.purpose, notice.deadline) == (ALERTS, Purpose.VOICEMAIL, NOW + GOOD_FOR_S)
    assert notice.caller is None
    assert learnt == [("alice-1", ALERTS, Outcome.TOKEN_DEAD)]
    assert pusher.counters["token_dead"] == 1
    await pusher.close()


async def test_closing_ends_what_is_under_way() -> None:
    async def dispatch(token: PushToken, notice: PushNotice) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    tokens = TokenBook()
    tokens.put("alice-1", [ALERTS], NOW - 60)
    pusher = VoicemailPusher(tokens=tokens, dispatch=dispatch, learn=lambda *_: None, now=lambda: NOW)
    pusher.waiting(VoicemailEvent(NOW, "c1", 2, ["alice-1"]))
    await asyncio.sleep(0)
    await pusher.close()
    assert not pusher.counters
