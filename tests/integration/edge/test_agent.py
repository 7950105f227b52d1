"""The edge agent as a process of its own, between a real Kamailio's tables, a database and a provider."""

from __future__ import annotations

import json
import signal
import socket
import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from control.services import alarms, tokens
from demo.sandbox import ProviderSandbox
from kemi.wire import CallEvent, ConnectionDoc, HelloEvent, LineDoc, UpstreamEvent, WakeEndEvent, unmask
from tests.integration.edge.rig import AOR, TOPIC, Rig
from tests.integration.edge.waiting import until


async def test_a_sleeping_device_is_pushed_to_and_the_call_is_told_of(
    rig: Rig, sandbox: ProviderSandbox
) -> None:
    await rig.kamailio.start()
    boot = await rig.start_agent()
    await until(lambda: rig.kamailio.holds("agent", {"boot": boot}))
    token = sandbox.install("apns", "org.example.phone.voip")
    rig.send(rig.registers(token))
    await until(lambda: rig.stored_tokens() == [token])
    rig.send(rig.wake("call-1"))
    push = await sandbox.wait_for_push(lambda push: push.token == token)
    assert "call-1" in json.dumps(push.payload)
    await until(lambda: rig.kamailio.holds("acked", {"z9hG4bK-call-1": boot}))
    await until(lambda: "push-accepted" in rig.told("call-1"))
    rig.send(rig.registers(token, calls=["call-1"]))
    rig.send(CallEvent(ts=time.time(), call="call-1", step="answered", device=rig.device, code=200))
    await until(lambda: "answered" in rig.told("call-1"))
    assert rig.told("call-1") == ["push-sent", "push-accepted", "register", "answered"]
    assert rig.steps("call-1")[1].reason.startswith("apns ")
    assert rig.steps("call-1")[2].reason.endswith("ms after the push")


async def test_a_token_makes_its_device_one_that_kamailio_holds_calls_for(
    rig: Rig, sandbox: ProviderSandbox
) -> None:
    await rig.kamailio.start()
    await rig.start_agent()
    await until(lambda: rig.kamailio.holds("line", {AOR: _line(rig, push=False)}))
    rig.send(rig.registers(sandbox.install("apns", "org.example.phone.voip")))
    await until(lambda: rig.kamailio.holds("line", {AOR: _line(rig, push=True)}))


async def test_p2_a_dead_token_leaves_memory_database_and_kamailio(
    rig: Rig, sandbox: ProviderSandbox
) -> None:
    token = sandbox.install("apns", "org.example.phone.voip")
    rig.store_token(token)
    await rig.kamailio.start()
    await rig.start_agent()
    sandbox.uninstall(token)
    rig.send(rig.wake("call-1"))
    await until(lambda: rig.stored_tokens() == [])
    await until(lambda: rig.kamailio.holds("line", {AOR: _line(rig, push=False)}))
    await until(lambda: "gave-up" in rig.told("call-1"))
    rig.send(rig.wake("call-2"))
    await until(lambda: "gave-up" in rig.told("call-2"))
    assert rig.told("call-1") == ["push-sent", "push-refused", "gave-up"]
    assert rig.told("call-2") == ["push-refused", "gave-up"]
    assert rig.log_file.read_text().count("token-dead") == 1
    assert token not in rig.log_file.read_text()


async def test_p2_a_wrong_key_raises_one_alarm_that_stands_until_a_push_succeeds_and_deletes_no_token(
    rig: Rig, sandbox: ProviderSandbox
) -> None:
    def standing(*, cleared: bool = False) -> list[tuple[str, str]]:
        with rig.store.read() as session:
            found = alarms.latest(session, cleared=cleared)
            return [(a.kind, a.subject) for a in found if a.kind == alarms.PUSH_MISCONFIGURED]

    token = sandbox.install("apns", TOPIC)
    rig.store_token(token)
    await rig.kamailio.start()
    await rig.start_agent()
    order = sandbox.order("apns", reason="InvalidProviderToken")
    for call in ("call-1", "call-2"):
        rig.send(rig.wake(call))
        await until(lambda call=call: "gave-up" in rig.told(call))  # type: ignore[misc]
    alarm = ("push-misconfigured", f"apns {TOPIC}")
    await until(lambda: standing() == [alarm])
    assert rig.stored_tokens() == [token]
    sandbox.cancel(order)
    rig.send(rig.wake("call-3"))
    await until(lambda: standing() == [])
    assert standing(cleared=True) == [alarm]


async def test_p2_a_token_that_apple_does_not_know_is_kept_in_the_database_as_quarantined(rig: Rig) -> None:
    rig.store_token("c0ffee")
    await rig.kamailio.start()
    await rig.start_agent()
    rig.send(rig.wake("call-1"))
    await until(lambda: rig.kamailio.holds("line", {AOR: _line(rig, push=False)}))
    with rig.store.read() as session:
        (token,) = tokens.tokens_of(session, rig.device)[rig.device]
    assert token.quarantined_at is not None


async def test_w12_after_a_kill_the_next_incarnation_pushes_again_for_a_call_that_is_still_held(
    rig: Rig, sandbox: ProviderSandbox
) -> None:
    token = sandbox.install("apns", "org.example.phone.voip")
    rig.store_token(token)
    await rig.kamailio.start()
    first = await rig.start_agent()
    wake = rig.wake("call-1")
    rig.send(wake)
    await until(lambda: rig.kamailio.holds("acked", {wake.id: first}))
    rig.stop_agent(signal.SIGKILL)
    second = await rig.start_agent()
    assert second != first
    await until(lambda: rig.kamailio.holds("agent", {"boot": second}))
    rig.send(wake)  # Kamailio sends it again: the acknowledgement is of another incarnation
    await until(lambda: rig.kamailio.holds("acked", {wake.id: second}))
    await until(lambda: "push-accepted" in rig.told("call-1"))
    assert [push.token for push in sandbox.pushes if push.token == token] != []


async def test_a_push_leaves_only_before_the_deadline(rig: Rig, sandbox: ProviderSandbox) -> None:
    token = sandbox.install("apns", "org.example.phone.voip")
    rig.store_token(token)
    await rig.kamailio.start()
    boot = await rig.start_agent()
    late = replace(rig.wake("late"), deadline=time.time() - 0.1)
    rig.send(late)
    await until(lambda: rig.kamailio.holds("acked", {late.id: boot}))
    end = WakeEndEvent(ts=time.time(), id=late.id, call="late", outcome="deadline")
    rig.send(end)
    await until(lambda: rig.told("late") == ["wake-deadline"])
    assert not [push for push in sandbox.pushes if push.token == token]


async def test_r3_a_realm_that_was_learned_reaches_kamailio_as_credentials_at_once(rig: Rig) -> None:
    await rig.kamailio.start()
    await rig.start_agent()
    await until(lambda: _known(rig, ""))
    asked = time.monotonic()
    rig.send(
        UpstreamEvent(
            ts=time.time(),
            connection=rig.connection,
            state="unregistered",
            code=401,
            realm="asterisk",
            algorithm="MD5",
            durable='{"v":1}',
        )
    )
    await until(lambda: _known(rig, "asterisk"))
    assert time.monotonic() - asked < 1.0  # some 30 ms on a quiet machine
    document = ConnectionDoc.decode(await rig.document("connection", rig.connection))
    key = bytes.fromhex(rig.settings.identity_key())
    assert len(unmask(document.ha1_md5, key, f"{rig.connection}/ha1_md5")) == 32
    assert len(unmask(document.ha1_sha256, key, f"{rig.connection}/ha1_sha256")) == 64
    await until(lambda: rig.upstream_row() == '{"v":1}')


async def test_a_locked_database_delays_the_journal_and_no_push(rig: Rig, sandbox: ProviderSandbox) -> None:
    token = sandbox.install("apns", "org.example.phone.voip")
    rig.store_token(token)
    await rig.kamailio.start()
    boot = await rig.start_agent()
    with rig.store.write() as session:
        session.execute(text("SELECT 1"))
        rig.send(rig.wake("call-1"))
        await sandbox.wait_for_push(lambda push: push.token == token, within=2)
        await until(lambda: rig.kamailio.holds("acked", {"z9hG4bK-call-1": boot}))
    await until(lambda: "push-accepted" in rig.told("call-1"), within=10)


async def test_kamailio_may_come_later_and_is_told_everything(rig: Rig) -> None:
    boot = await rig.start_agent()
    await rig.kamailio.start()
    await until(lambda: rig.kamailio.holds("agent", {"boot": boot}))
    await until(lambda: _known(rig, ""))
    rig.kamailio.stop(signal.SIGKILL)
    await rig.kamailio.start()
    rig.send(HelloEvent(ts=time.time(), pid=1))
    await until(lambda: rig.kamailio.holds("agent", {"boot": boot}))


async def test_it_stops_when_asked_and_takes_its_ready_mark_away(rig: Rig) -> None:
    await rig.start_agent()
    rig.send(CallEvent(ts=time.time(), call="last", step="invite-in", direction="in"))
    await until(lambda: rig.told("last") == ["invite-in"])
    assert rig.stop_agent() == 0
    assert not rig.settings.edge_ready.exists()


async def test_a_second_agent_says_in_one_sentence_why_it_cannot_start(rig: Rig) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", rig.settings.edge.events_port))
        with pytest.raises(AssertionError, match="is another edge agent running"):
            await rig.start_agent()
    assert "Traceback" not in rig.log_file.read_text()
    rig.agent = None


def _line(rig: Rig, *, push: bool) -> str:
    return LineDoc.from_dict({"v": 1, "devices": [{"id": rig.device, "push": push}], "wait": 20.0}).encode()


async def _known(rig: Rig, realm: str) -> bool:
    text = await rig.document("connection", rig.connection)
    return bool(text) and ConnectionDoc.decode(text).realm == realm
