"""The dispatcher keeps deadlines, keeps providers apart, and never raises."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from control.domain.push import Outcome, PushNotice, PushToken, PushTrouble, Verdict
from control.push import dispatcher as module
from control.push.breaker import PROBE_EVERY, THRESHOLD, Breaker
from control.push.dispatcher import Dispatcher

APNS_TOKEN = PushToken("apns", "org.example.phone.voip", "production", "c0ffee00")
FCM_TOKEN = PushToken("fcm", "1", "production", "f:cm")
DELIVERED = Verdict(Outcome.DELIVERED, 200)
DOWN = Verdict(Outcome.RETRY, 0, "connect-failed")


def notice(seconds: float) -> PushNotice:
    return PushNotice("call", "wake", time.time() + seconds)


class FakeProvider:
    """Answers as the test says; counts how often it was asked."""

    def __init__(self, name: str, answer: Callable[[int], Awaitable[Verdict]]) -> None:
        self.name = name
        self.asked = 0
        self.started = self.closed = False
        self._answer = answer

    async def start(self) -> None:
        self.started = True

    async def close(self) -> None:
        self.closed = True

    def lane(self, token: PushToken) -> str:
        return token.app

    async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
        self.asked += 1
        return await self._answer(self.asked)


def says(*verdicts: Verdict) -> Callable[[int], Awaitable[Verdict]]:
    async def answer(asked: int) -> Verdict:
        return verdicts[min(asked, len(verdicts)) - 1]

    return answer


async def hangs(_: int) -> Verdict:
    await asyncio.Event().wait()
    raise AssertionError


async def breaks(_: int) -> Verdict:
    raise ZeroDivisionError


async def test_it_starts_and_closes_every_provider() -> None:
    providers = [FakeProvider("apns", says(DELIVERED)), FakeProvider("fcm", says(DELIVERED))]
    dispatcher = Dispatcher(providers)
    await dispatcher.start()
    assert all(p.started for p in providers)
    await dispatcher.close()
    assert all(p.closed for p in providers)


async def test_a_push_that_is_taken_is_sent_once() -> None:
    provider = FakeProvider("apns", says(DELIVERED))
    dispatcher = Dispatcher([provider])
    assert await dispatcher.dispatch(APNS_TOKEN, notice(5)) == DELIVERED
    assert provider.asked == 1
    assert dispatcher.counters["apns", "delivered", ""] == 1


@pytest.mark.parametrize("outcome", [Outcome.TOKEN_DEAD, Outcome.REJECTED, Outcome.MISCONFIGURED])
async def test_a_final_refusal_is_not_repeated(outcome: Outcome) -> None:
    provider = FakeProvider("apns", says(Verdict(outcome, 400)))
    assert (await Dispatcher([provider]).dispatch(APNS_TOKEN, notice(5))).outcome is outcome
    assert provider.asked == 1


async def test_p4_a_provider_that_comes_back_before_the_deadline_gets_the_push() -> None:
    provider = FakeProvider("apns", says(DOWN, DOWN, DELIVERED))
    assert await Dispatcher([provider]).dispatch(APNS_TOKEN, notice(5)) == DELIVERED
    assert provider.asked == 3


async def test_p4_retry_after_beyond_the_deadline_is_given_up_at_once() -> None:
    busy = Verdict(Outcome.RETRY, 503, "ServiceUnavailable", retry_after=60.0)
    provider = FakeProvider("apns", says(busy))
    started = time.monotonic()
    assert await Dispatcher([provider]).dispatch(APNS_TOKEN, notice(10)) == busy
    assert time.monotonic() - started < 1
    assert provider.asked == 1


async def test_p4_retry_after_within_the_deadline_is_honoured() -> None:
    busy = Verdict(Outcome.RETRY, 429, "TooManyRequests", retry_after=0.3)
    provider = FakeProvider("apns", says(busy, DELIVERED))
    started = time.monotonic()
    assert await Dispatcher([provider]).dispatch(APNS_TOKEN, notice(10)) == DELIVERED
    assert time.monotonic() - started >= 0.3


async def test_p4_a_hung_provider_gives_retry_at_the_deadline_and_delays_no_other() -> None:
    hung, quick = FakeProvider("apns", hangs), FakeProvider("fcm", says(DELIVERED))
    dispatcher = Dispatcher([hung, quick])
    stuck = [asyncio.create_task(dispatcher.dispatch(APNS_TOKEN, notice(0.5))) for _ in range(1000)]
    await asyncio.sleep(0)
    started = time.monotonic()
    assert await dispatcher.dispatch(FCM_TOKEN, notice(5)) == DELIVERED
    assert time.monotonic() - started < 0.3
    assert {v.outcome for v in await asyncio.gather(*stuck)} == {Outcome.RETRY}
    assert time.monotonic() - started < 2


async def test_the_last_reason_known_is_told_at_the_deadline() -> None:
    async def refuse_then_hang(asked: int) -> Verdict:
        return DOWN if asked == 1 else await hangs(asked)

    provider = FakeProvider("apns", refuse_then_hang)
    assert await Dispatcher([provider]).dispatch(APNS_TOKEN, notice(0.4)) == DOWN
    assert provider.asked == 2


async def test_a_bug_in_a_provider_ends_in_a_verdict_and_shows_no_token(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dispatcher = Dispatcher([FakeProvider("apns", breaks)])
    verdict = await dispatcher.dispatch(APNS_TOKEN, notice(5))
    assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "internal-error")
    logged = capsys.readouterr()
    assert "ZeroDivisionError" in logged.out + logged.err
    assert APNS_TOKEN.token not in logged.out + logged.err


async def test_a_provider_that_is_not_set_up_is_our_misconfiguration() -> None:
    verdict = await Dispatcher([]).dispatch(APNS_TOKEN, notice(5))
    assert (verdict.outcome, verdict.reason) == (Outcome.MISCONFIGURED, "provider-not-set-up")


@pytest.mark.parametrize("deadline", [0.0, -1.0, float("nan")])
async def test_w9_nothing_is_pushed_after_the_deadline(deadline: float) -> None:
    provider = FakeProvider("apns", says(DELIVERED))
    verdict = await Dispatcher([provider]).dispatch(APNS_TOKEN, PushNotice("call", "wake", deadline))
    assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "deadline-passed")
    assert provider.asked == 0


async def test_w13_too_many_pushes_at_once_are_refused_not_hoarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONCURRENCY", 2)
    monkeypatch.setattr(module, "QUEUE", 3)
    dispatcher = Dispatcher([FakeProvider("apns", hangs)])
    verdicts = await asyncio.gather(*(dispatcher.dispatch(APNS_TOKEN, notice(0.2)) for _ in range(8)))
    assert [v.reason for v in verdicts].count("overloaded") == 3


async def test_w11_a_cancelled_push_stays_cancelled_and_frees_its_place() -> None:
    dispatcher = Dispatcher([FakeProvider("apns", hangs)])
    task = asyncio.create_task(dispatcher.dispatch(APNS_TOKEN, notice(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert dispatcher.inside("apns") == 0


def test_p4_an_open_breaker_lets_one_probe_a_second_through() -> None:
    breaker = Breaker()
    for _ in range(THRESHOLD):
        assert breaker.wait(100.0) == 0
        breaker.record(False, 100.0)
    assert breaker.wait(100.0) == PROBE_EVERY
    assert breaker.wait(101.0) == 0  # the probe
    assert breaker.wait(101.25) == 0.75
    breaker.record(True, 101.5)
    assert breaker.wait(101.5) == 0
    assert not breaker.is_open


def test_a_breaker_does_not_stay_shut_when_the_clock_is_set_back() -> None:
    breaker = Breaker()
    for _ in range(THRESHOLD):
        breaker.record(False, 1000.0)
    assert breaker.wait(10.0) == 0


async def test_p4_while_a_provider_is_down_it_is_asked_seldom() -> None:
    provider = FakeProvider("apns", says(DOWN))
    dispatcher = Dispatcher([provider])
    await asyncio.gather(*(dispatcher.dispatch(APNS_TOKEN, notice(0.6)) for _ in range(200)))
    # All 200 were under way before the breaker could know; no second round of 200 follows.
    assert provider.asked < 210


async def test_p4_while_a_provider_is_down_those_who_wait_for_it_do_not_wake_each_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, look = 0, Breaker.wait

    def counting(breaker: Breaker, now: float) -> float:
        nonlocal looks
        looks += 1
        return look(breaker, now)

    provider = FakeProvider("apns", says(DOWN))
    dispatcher = Dispatcher([provider])
    async with asyncio.timeout(5):
        while not dispatcher.state()["apns"]["silent"]:
            await dispatcher.dispatch(APNS_TOKEN, notice(0.1))
    monkeypatch.setattr(Breaker, "wait", counting)
    asked = provider.asked
    await asyncio.gather(*(dispatcher.dispatch(APNS_TOKEN, notice(2 * PROBE_EVERY)) for _ in range(1000)))
    assert asked < provider.asked < asked + 4
    assert looks < 20


async def test_p4_all_who_waited_are_sent_when_the_provider_is_back() -> None:
    up = False

    async def answer(_: int) -> Verdict:
        return DELIVERED if up else DOWN

    dispatcher = Dispatcher([FakeProvider("apns", answer)])
    waiting = [asyncio.create_task(dispatcher.dispatch(APNS_TOKEN, notice(10))) for _ in range(1000)]
    async with asyncio.timeout(5):
        while not dispatcher.state()["apns"]["silent"]:  # noqa: ASYNC110  the breaker opens in its own time
            await asyncio.sleep(0.01)
    up = True
    assert {verdict.outcome for verdict in await asyncio.gather(*waiting)} == {Outcome.DELIVERED}
    assert dispatcher.inside("apns") == 0


WRONG = Verdict(Outcome.MISCONFIGURED, 403, "InvalidProviderToken", advice="Check the key")


async def test_p2_a_misconfiguration_is_told_until_a_push_succeeds_and_then_that_it_is_over() -> None:
    now = 1_800_000_000.0
    told: list[PushTrouble] = []
    provider = FakeProvider("apns", says(WRONG, WRONG, DELIVERED, DELIVERED, WRONG, WRONG, DOWN))
    dispatcher = Dispatcher([provider], lambda: now, trouble=told.append)
    later = PushNotice("call", "wake", now + 1000)
    app = APNS_TOKEN.app
    for _ in range(5):
        await dispatcher.dispatch(APNS_TOKEN, later)
    text = f"No push for the app {app} can succeed: apns 403 InvalidProviderToken. Check the key."
    # The fifth push has failed again, but within a minute: an alarm does not come and go with each push.
    assert told == [PushTrouble("apns", app, now, text), PushTrouble("apns", app, now)]
    now += 60
    await dispatcher.dispatch(APNS_TOKEN, later)
    assert told[2:] == [PushTrouble("apns", app, now, text)]


async def test_an_alarm_of_an_earlier_incarnation_is_over_with_the_first_push_that_succeeds() -> None:
    told: list[PushTrouble] = []
    dispatcher = Dispatcher([FakeProvider("apns", says(DELIVERED))], trouble=told.append)
    for _ in range(3):
        await dispatcher.dispatch(APNS_TOKEN, notice(5))
    assert [(trouble.about, trouble.text) for trouble in told] == [(APNS_TOKEN.app, "")]


async def test_p4_the_state_names_the_servers_that_do_not_answer_and_counts_what_waits() -> None:
    providers = [FakeProvider("apns", says(DOWN)), FakeProvider("fcm", says(DELIVERED))]
    dispatcher = Dispatcher(providers)
    task = asyncio.create_task(dispatcher.dispatch(APNS_TOKEN, notice(20)))
    await dispatcher.dispatch(FCM_TOKEN, notice(20))
    async with asyncio.timeout(5):
        while not dispatcher.state()["apns"]["silent"]:  # noqa: ASYNC110  the breaker opens in its own time
            await asyncio.sleep(0.01)
    assert dispatcher.state() == {
        "apns": {"under_way": 1, "silent": [APNS_TOKEN.app]},
        "fcm": {"under_way": 0, "silent": []},
    }
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_p2_a_misconfiguration_is_logged_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    dispatcher = Dispatcher([FakeProvider("apns", says(WRONG))])
    for _ in range(3):
        await dispatcher.dispatch(APNS_TOKEN, notice(5))
    logged = capsys.readouterr()
    assert (logged.out + logged.err).count("push.misconfigured") == 1
    assert APNS_TOKEN.token not in logged.out + logged.err


async def test_p4_one_server_of_a_provider_that_hangs_delays_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CONCURRENCY", 2)

    class Browsers(FakeProvider):
        async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
            return await (hangs(0) if token.app == "hung.example" else super().push(token, notice))

    browsers = Browsers("webpush", says(DELIVERED))
    dispatcher = Dispatcher([browsers])
    hung, well = (PushToken("webpush", host, "production", "{}") for host in ("hung.example", "well.example"))
    waiting = [asyncio.create_task(dispatcher.dispatch(hung, notice(5))) for _ in range(4)]
    await asyncio.sleep(0)
    began = time.monotonic()
    assert await dispatcher.dispatch(well, notice(5)) == DELIVERED
    assert time.monotonic() - began < 0.5
    assert dispatcher.inside("webpush") == 4
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert dispatcher.inside("webpush") == 0


async def test_servers_that_nobody_is_waiting_for_are_forgotten_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LANES", 3)
    browsers = FakeProvider("webpush", says(DELIVERED))
    dispatcher = Dispatcher([browsers])
    for number in range(10):
        token = PushToken("webpush", f"host{number}.example", "production", "{}")
        assert await dispatcher.dispatch(token, notice(5)) == DELIVERED
    assert len(dispatcher._lanes) <= 3
