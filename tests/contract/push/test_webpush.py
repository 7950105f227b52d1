"""The Web Push provider against a browsers' push service: encrypted, signed, short-lived, and never into our own network."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from control.domain.push import ALERT, Outcome, Purpose, PushToken, PushTrouble
from control.push.dispatcher import Dispatcher
from control.push.errors import PushCredentialsError
from control.push.webpush import vapid
from control.push.webpush.outcomes import OUTCOMES
from demo.sandbox import ProviderSandbox
from demo.sandbox.webpush.errors import PUSH_ERRORS

if TYPE_CHECKING:
    from tests.contract.push.conftest import Rig


async def test_p5_p6_a_call_arrives_encrypted_urgent_and_short_lived(rig: Rig) -> None:
    browser, notice = rig.browser(), rig.notice(20)
    deliveries = rig.sandbox.deliveries(browser.token)
    async with rig.webpush() as webpush:
        verdict = await webpush.push(browser, notice)
    push = await anext(deliveries)
    assert (verdict.outcome, verdict.status, verdict.reason) == (Outcome.DELIVERED, 201, "")
    assert push.provider_id.endswith(f"/message/{verdict.provider_id}")
    assert push.payload == {"type": "call", "call": "k7f3", "wake": "w1"}
    assert push.priority == "high"
    assert notice.deadline - 2 < push.expires_at <= notice.deadline + 0.1


async def test_p6_a_caller_travels_only_if_the_notice_has_one_and_the_service_cannot_read_it(
    rig: Rig,
) -> None:
    browser = rig.browser()
    async with rig.webpush() as webpush:
        await webpush.push(browser, replace(rig.notice(), caller="Alice " * 100))
    (push,) = rig.sandbox.pushes
    assert push.payload["caller"].startswith("Alice Alice")
    assert len(push.payload["caller"]) == 200
    assert "alice" not in json.dumps(push.headers).lower()


async def test_p5_the_news_that_a_call_is_over_replaces_the_call_that_still_waits(rig: Rig) -> None:
    browser, notice = rig.browser(), rig.notice()
    async with rig.webpush() as webpush:
        await webpush.push(browser, notice)
        await webpush.push(browser, replace(notice, call="other"))
        await webpush.push(browser, replace(notice, purpose=Purpose.OVER))
    with rig.sandbox.deliveries(browser.token) as deliveries:
        deliveries.close()
        waiting = [(push.payload["type"], push.payload["call"]) async for push in deliveries]
    assert waiting == [("call", "other"), ("over", "k7f3")]


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_every_purpose_can_be_pushed(rig: Rig, purpose: Purpose) -> None:
    async with rig.webpush() as webpush:
        verdict = await webpush.push(rig.browser(), replace(rig.notice(), purpose=purpose))
    (push,) = rig.sandbox.pushes
    assert (verdict.outcome, push.payload["type"]) == (Outcome.DELIVERED, purpose.value)
    assert push.priority == ("normal" if purpose in (Purpose.MESSAGE, Purpose.VOICEMAIL) else "high")


async def test_a_token_for_messages_is_pushed_to_for_a_message_and_not_for_a_call(rig: Rig) -> None:
    browser = replace(rig.browser(), kind=ALERT)
    async with rig.webpush() as webpush:
        message = await webpush.push(browser, replace(rig.notice(), purpose=Purpose.MESSAGE))
        call = await webpush.push(browser, rig.notice())
    assert message.outcome is Outcome.DELIVERED
    assert (call.outcome, call.reason) == (Outcome.REJECTED, "kind-unsupported")


@pytest.mark.parametrize("name", sorted(PUSH_ERRORS))
async def test_p5_every_documented_error_becomes_its_outcome(rig: Rig, name: str) -> None:
    rig.sandbox.order("webpush", reason=name)
    async with rig.webpush() as webpush:
        verdict = await webpush.push(rig.browser(), rig.notice())
    answered = PUSH_ERRORS[name]
    assert (verdict.status, verdict.reason) == (answered.code, f"errno {answered.errno}")
    assert verdict.outcome is OUTCOMES.outcome(verdict.status, verdict.reason)
    assert (verdict.outcome is Outcome.TOKEN_DEAD) == (answered.code in (404, 410))
    assert (verdict.outcome is Outcome.MISCONFIGURED) == (answered.code in (401, 403))
    assert (verdict.outcome is Outcome.RETRY) == (answered.code in (429, 500, 503))


async def test_p5_a_browser_that_unsubscribed_is_dead(rig: Rig) -> None:
    browser = rig.browser()
    rig.sandbox.uninstall(browser.token)
    async with rig.webpush() as webpush:
        assert (await webpush.push(browser, rig.notice())).outcome is Outcome.TOKEN_DEAD


async def test_p4_retry_after_is_passed_on(rig: Rig) -> None:
    rig.sandbox.order("webpush", reason="TooManyRequests", retry_after=9)
    async with rig.webpush() as webpush:
        verdict = await webpush.push(rig.browser(), rig.notice())
    assert (verdict.outcome, verdict.retry_after) == (Outcome.RETRY, 9.0)


async def test_an_error_page_that_is_no_json_is_worth_a_retry(rig: Rig) -> None:
    rig.sandbox.order("webpush", fault="bad_gateway")
    async with rig.webpush() as webpush:
        verdict = await webpush.push(rig.browser(), rig.notice())
    assert (verdict.outcome, verdict.status, verdict.reason) == (Outcome.RETRY, 502, "")


async def test_a_connection_that_is_closed_gives_retry(rig: Rig) -> None:
    rig.sandbox.order("webpush", fault="close", count=1)
    async with rig.webpush() as webpush:
        verdict = await webpush.push(rig.browser(), rig.notice())
        assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "connection-lost")
        assert (await webpush.push(rig.browser(), rig.notice())).outcome is Outcome.DELIVERED


async def test_a_service_that_is_down_or_is_not_who_it_should_be_gives_retry(rig: Rig) -> None:
    browser = rig.browser()
    async with rig.webpush(ca_file=None) as webpush:
        assert (await webpush.push(browser, rig.notice())).reason == "tls-failed"
    async with rig.webpush() as webpush:
        await rig.sandbox.take_down("webpush")
        verdict = await webpush.push(browser, rig.notice())
        assert (verdict.outcome, verdict.reason) == (Outcome.RETRY, "connect-failed")
        await rig.sandbox.bring_up("webpush")
        assert (await webpush.push(browser, rig.notice())).outcome is Outcome.DELIVERED


async def test_p4_a_push_without_answer_ends_at_its_deadline(rig: Rig) -> None:
    rig.sandbox.order("webpush", fault="hang")
    async with rig.webpush() as webpush:
        started = time.monotonic()
        verdict = await webpush.push(rig.browser(), rig.notice(0.4))
        assert (verdict.outcome, verdict.status, verdict.reason) == (Outcome.RETRY, 0, "timeout")
        assert time.monotonic() - started < 2
        assert (await webpush.push(rig.browser(), rig.notice(-1))).reason == "deadline-passed"


async def test_p4_a_service_that_hangs_delays_no_other(rig: Rig) -> None:
    """Two services: the sandbox, and one that takes connections and never says a word."""
    with socket.create_server(("127.0.77.9", 0), backlog=100) as silent:
        hung = browser_at(rig, f"https://127.0.77.9:{silent.getsockname()[1]}/push/x")
        async with rig.webpush() as webpush:
            dispatcher = Dispatcher([webpush], rig.clock)
            waiting = [asyncio.create_task(dispatcher.dispatch(hung, rig.notice(20))) for _ in range(600)]
            await asyncio.sleep(0.1)
            began = time.monotonic()
            verdict = await dispatcher.dispatch(rig.browser(), rig.notice())
            assert verdict.outcome is Outcome.DELIVERED
            assert time.monotonic() - began < 1
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


async def test_p8_one_token_is_signed_for_a_service_and_renewed_after_hours(rig: Rig) -> None:
    browser = rig.browser()
    async with rig.webpush() as webpush:
        for offset in (0, 6 * 3600 - 60, 6 * 3600 + 60):
            rig.clock.offset = 0.0
            notice = rig.notice(20 + offset)
            rig.clock.offset = offset
            rig.sandbox._clock = rig.clock
            await webpush.push(browser, notice)
    first, second, third = (push.headers["authorization"] for push in rig.sandbox.pushes)
    assert first == second != third


async def test_the_vapid_token_names_the_service_and_the_contact(rig: Rig) -> None:
    async with rig.webpush() as webpush:
        await webpush.push(rig.browser(), rig.notice())
    (push,) = rig.sandbox.pushes
    token = push.headers["authorization"].removeprefix("vapid t=").partition(",")[0]
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["sub"]) == (rig.sandbox.webpush_url, "mailto:ops@example.org")
    assert 11 * 3600 < claims["exp"] - time.time() <= 12 * 3600


async def test_a_subscription_made_for_an_earlier_key_is_refused_before_it_is_sent(
    rig: Rig, tmp_path: Path
) -> None:
    path = tmp_path / "new.pem"
    path.write_text(vapid.new_key())
    async with rig.webpush(key_file=path) as webpush:
        verdict = await webpush.push(rig.browser(), rig.notice())
        assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, "subscribed-with-another-key")
        # Where it is not known which key it was made for, the push service says it.
        verdict = await webpush.push(replace(rig.browser(), app=""), rig.notice())
        assert (verdict.outcome, verdict.status) == (Outcome.MISCONFIGURED, 403)
    assert rig.statuses() == [403]


@pytest.mark.parametrize("reason", ["InvalidAuthentication", "KeyMismatch"])
async def test_p2_a_service_that_refuses_us_accuses_only_itself(
    rig: Rig, directory: Path, reason: str
) -> None:
    """Whoever has a device here may bring a subscription at a server of his own, which answers as he likes."""
    troubles: list[PushTrouble] = []
    strange = ProviderSandbox(rig.sandbox.address)
    await strange.start(directory)
    strange.order("webpush", reason=reason)
    browser = rig.browser()
    hostile = replace(browser, token=strange.install("webpush", browser.app))
    async with rig.webpush() as webpush:
        dispatcher = Dispatcher([webpush], rig.clock, trouble=troubles.append)
        for _ in range(3):
            verdict = await dispatcher.dispatch(hostile, rig.notice())
            assert (verdict.outcome, verdict.quarantine) == (Outcome.MISCONFIGURED, False)
            assert (await dispatcher.dispatch(browser, rig.notice())).outcome is Outcome.DELIVERED
        ours, theirs = rig.sandbox.webpush_url, strange.webpush_url
        assert [(trouble.about, bool(trouble.text)) for trouble in troubles] == [
            (theirs, True),
            (ours, False),
        ]
        assert f"No push to {theirs} can succeed" in troubles[0].text
        assert hostile.fingerprint in troubles[0].text  # whose device that is can be found
        assert "check push.webpush" in troubles[0].text
        strange.clear_orders()
        await dispatcher.dispatch(hostile, rig.notice())
        assert (troubles[-1].about, troubles[-1].text) == (theirs, "")
    await strange.stop()


def browser_at(rig: Rig, endpoint: str) -> PushToken:
    browser = rig.browser()
    raw = json.loads(browser.token)
    return replace(browser, token=json.dumps({**raw, "endpoint": endpoint}))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]"],
)
async def test_an_endpoint_in_a_private_network_is_never_asked(rig: Rig, host: str) -> None:
    async with rig.webpush() as webpush:
        verdict = await webpush.push(browser_at(rig, f"https://{host}/push/x"), rig.notice())
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, "private-address")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1"])
async def test_an_address_in_disguise_is_not_asked_either(rig: Rig, host: str) -> None:
    asked = asyncio.Event()

    async def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with rig.webpush() as webpush:
        verdict = await webpush.push(browser_at(rig, f"https://{host}:{port}/x"), rig.notice(5))
    assert verdict.outcome is not Outcome.DELIVERED
    assert not asked.is_set()
    server.close()


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "http://127.0.77.1/push/x"},
        {"endpoint": "https://user@push.example/x"},
        {"keys": {"p256dh": "AAAA", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}},
        {"keys": {}},
        {"x": "x" * 5000},
    ],
)
async def test_p7_a_token_that_is_no_subscription_is_rejected_and_kept(
    rig: Rig, change: dict[str, Any]
) -> None:
    browser = rig.browser()
    token = json.dumps({**json.loads(browser.token), **change})
    async with rig.webpush() as webpush:
        verdict = await webpush.push(replace(browser, token=token), rig.notice())
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, "malformed-token")
    assert rig.sandbox.pushes == []


async def test_a_key_file_that_is_missing_or_wrong_stops_the_start_with_its_name(
    rig: Rig, tmp_path: Path
) -> None:
    garbage, apples = tmp_path / "garbage.pem", rig.sandbox.credentials.certificate_key_file
    garbage.write_text("no key")
    rsa = rig.sandbox.credentials.ca_file.parent / "service-account.key"
    for path, what in (
        (tmp_path / "missing.pem", "No such file or directory; `nightbell init` writes it"),
        (garbage, "is no private key in PEM"),
        (rsa, "a key of another kind: Web Push wants P-256"),
    ):
        with pytest.raises(PushCredentialsError, match=what) as error:
            async with rig.webpush(key_file=path):
                pass
        assert str(path) in str(error.value)
    async with rig.webpush(key_file=apples):
        pass  # any P-256 key will do


async def test_a_missing_authority_stops_the_start_with_its_name(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(PushCredentialsError, match=r"push\.webpush\.ca_file .*missing\.pem"):
        async with rig.webpush(ca_file=tmp_path / "missing.pem"):
            pass
