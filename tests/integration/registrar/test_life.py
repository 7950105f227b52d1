"""A registration's life: Kamailio is killed, connections are changed and removed, devices wake and sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from demo.phone import Phone
from kemi import wire
from tests.fakes.registrar import FakeRegistrar
from tests.fixtures.phones import Phones
from tests.integration.registrar.rig import ADDRESS, AOR, DOMAIN, Rig, device_ha1

Name = Callable[[str], str]
DEVICE, PASSWORD = "alice-k7f3qd", "correct horse"
DEVICES_ADDRESS = "127.0.93.1"


def identity(seen: dict[str, Any]) -> tuple[str, list[str]]:
    """What of a REGISTER must never change."""
    return seen["call_id"], seen["contacts"]


# ---------------------------------------------------------------------------------------------------- kill -9


def test_r1_a_killed_kamailio_keeps_what_is_valid_and_its_identity(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name, fresh = user("plain"), user("plain")
    pbx.order(name, granted=12)  # due after 6 s at least
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    rig.kill()
    rig.keep_states()
    rig.connect("c2", pbx, fresh)
    rig.start()
    rig.registered("c2")
    assert len(pbx.history(name)) == 2, "a valid binding was registered anew"
    fresh_round = pbx.history(name)[-1]
    rig.refreshed("c1")
    refresh = pbx.history(name)[2]
    assert identity(refresh) == identity(fresh_round)
    assert refresh["cseq"] > fresh_round["cseq"]
    assert (refresh["code"], refresh["nonce_count"]) == (200, "00000002"), "the nonce is used on"
    statistics = pbx.statistics()
    assert (statistics["call_id_changes"], statistics["tag_changes"]) == (0, 0)
    assert (statistics["cseq_regressions"], statistics["gaps"]) == (0, 0)


def test_r1_a_kill_that_loses_the_last_news_changes_nothing_the_pbx_sees(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.registered("c1")
    rig.kill()  # and nothing was written down
    rig.until(lambda: time.time() > told.ts + 2)  # CSeq grows by one a second, whatever is lost
    rig.start()
    rig.registered("c1")
    assert len({(seen["call_id"], *seen["contacts"]) for seen in pbx.history(name)}) == 1
    statistics = pbx.statistics()
    assert (statistics["cseq_regressions"], statistics["tag_changes"]) == (0, 0)


def test_r1_a_kill_between_refreshes_told_many_at_once_loses_none(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    names = {f"c{number}": user("plain") for number in range(8)}
    for connection, name in names.items():
        pbx.order(name, granted=4)
        rig.connect(connection, pbx, name)
    rig.start()
    rig.refreshed(*names)
    rig.kill()
    rig.keep_states()
    rig.start()
    rig.refreshed(*names)
    statistics = pbx.statistics()
    assert (statistics["cseq_regressions"], statistics["call_id_changes"]) == (0, 0)
    assert statistics["replays"] == 0, "a nonce count was used twice"


def test_r2_a_refused_account_stays_refused_over_a_kill(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name, fresh = user("x403"), user("plain")
    rig.connect("c1", pbx, name)
    rig.start()
    rig.upstream("c1", "refused")
    rig.kill()
    rig.keep_states()
    rig.connect("c2", pbx, fresh)
    rig.start()
    rig.registered("c2")
    assert len(pbx.history(name)) == 1


def test_a_pbx_that_forgot_us_has_us_back_with_the_next_refresh(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    pbx.order(name, granted=4)
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    pbx.ask("forget_bindings")
    rig.refreshed("c1")
    assert [seen["code"] for seen in pbx.history(name)][:4] == [401, 200, 401, 200]
    assert len(pbx.ask("bindings", user=name)) == 1


# ------------------------------------------------------------------------------------------- live changes


def test_r6_changing_one_connection_registers_that_one_anew_and_no_other(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    before, after, other = user("plain"), user("plain"), user("plain")
    rig.connect("c1", pbx, before)
    rig.connect("c2", pbx, other)
    rig.start()
    for connection in ("c1", "c2"):
        rig.registered(connection)
    changed = time.time()
    rig.connect("c1", pbx, after, revision="2")
    rig.registered("c1")
    assert pbx.history(after)[0]["at"] - changed < 1.0
    assert len(pbx.history(other)) == 2


def test_r6_a_change_that_the_pbx_does_not_see_sends_nothing(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name, fresh = user("plain"), user("plain")
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    rig.connect("c1", pbx, name, early_ringing=False, media="direct")
    rig.connect("c2", pbx, fresh)
    rig.registered("c2")
    assert len(pbx.history(name)) == 2


def test_a_connection_added_live_is_registered_within_a_second(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    rig.start()
    added = time.time()
    rig.connect("c1", pbx, name)
    rig.registered("c1")
    assert pbx.history(name)[0]["at"] - added < 1.0


def test_r6_a_removed_connection_signs_off_with_the_credential_it_had(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    pbx.order(name, nonce_uses=1)
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    rig.remove("c1")
    assert rig.upstream("c1", "unregistered").code == 200
    assert [(s["expires"], s["code"]) for s in pbx.history(name)][-2:] == [(0, 401), (0, 200)]
    assert pbx.ask("bindings", user=name) == {}


def test_r6_a_connection_switched_off_and_on_at_once_is_registered(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    pbx.order(name, delay=0.2)
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    rig.remove("c1")
    rig.until(lambda: pbx.history(name)[-1]["expires"] == 0)
    rig.connect("c1", pbx, name)  # before the PBX has confirmed that it was signed off
    rig.registered("c1")
    assert len(pbx.ask("bindings", user=name)) == 1
    assert pbx.statistics()["cseq_regressions"] == 0


def test_a_connection_that_moves_to_another_realm_is_asked_there(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    pbx.order(name, realm="moved.example")
    rig.connect("c1", pbx, name, realm="", revision="2")
    assert rig.upstream("c1", "awaiting-credential").realm == "moved.example"
    rig.connect("c1", pbx, name, realm="moved.example", revision="2")
    rig.registered("c1")


# ------------------------------------------------------------------------------------------- devices, trunks


async def phone(rig: Rig, phones: Phones, user: str = DEVICE, transport: str = "udp") -> Phone:
    """A phone of that name, awake."""
    server = (ADDRESS, rig.settings.edge.sip_port)
    made = phones(user, PASSWORD, DOMAIN, server, transport=transport, local=DEVICES_ADDRESS)
    reply = await made.wake()
    assert reply.status == 200
    return made


def with_alice(rig: Rig, *rung_by: str) -> None:
    """Alice and her phone."""
    rig.put(wire.TABLE_LINE, AOR, wire.LineDoc([wire.LineDevice(DEVICE, False)]).encode())
    document = wire.DeviceDoc(AOR, device_ha1(DEVICE, PASSWORD), rung_by=list(rung_by))
    rig.put(wire.TABLE_DEVICE, DEVICE, document.encode())


async def test_while_awake_is_registered_as_long_as_a_device_is(
    rig: Rig, pbx: FakeRegistrar, user: Name, phones: Phones
) -> None:
    name = user("plain")
    with_alice(rig, "c1")
    rig.connect("c1", pbx, name, strategy="while-awake")
    rig.start()
    rig.upstream("c1", "resting")
    assert pbx.history(name) == []
    alice = await phone(rig, phones)
    rig.registered("c1")
    await alice.unregister()
    rig.upstream("c1", "resting")
    assert pbx.ask("bindings", user=name) == {}
    await alice.register()
    rig.registered("c1")


async def test_while_awake_signs_off_when_the_devices_connection_is_lost(
    rig: Rig, pbx: FakeRegistrar, user: Name, phones: Phones
) -> None:
    name = user("plain")
    with_alice(rig, "c1")
    rig.connect("c1", pbx, name, strategy="while-awake")
    rig.start()
    alice = await phone(rig, phones, transport="tcp")
    rig.registered("c1")
    await alice.sleep()
    rig.upstream("c1", "resting")
    assert pbx.ask("bindings", user=name) == {}


async def test_a_pbx_that_registers_here_is_told_and_so_is_its_loss(
    rig: Rig, pbx: FakeRegistrar, phones: Phones
) -> None:
    inbound = device_ha1("c1", PASSWORD)
    rig.connect("c1", pbx, "1002", next_hop="", register=False, ha1_inbound=inbound)
    rig.start()
    there = await phone(rig, phones, "c1", "tcp")
    told = rig.registered("c1")
    assert DEVICES_ADDRESS in told.reason
    (flow,) = rig.table("arrived")
    assert flow.startswith(f"{DEVICES_ADDRESS}:")
    await there.sleep()
    assert DEVICES_ADDRESS in rig.upstream("c1", "unregistered").reason
    assert rig.table("arrived") == {}


def test_a_trunk_is_never_registered(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name, fresh = user("plain"), user("plain")
    rig.connect("c1", pbx, name, strategy="trunk", register=False)
    rig.start()
    rig.connect("c2", pbx, fresh)
    rig.registered("c2")
    assert pbx.history(name) == []


# --------------------------------------------------------------------------------------------------- secrets


def test_no_password_or_ha1_is_in_what_kamailio_shows_or_keeps(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    document = rig.document("c1", pbx, name)
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    rig.keep_states()
    shown = repr(rig.table("connection")) + (rig.settings.log_dir / "kamailio.log").read_text()
    kept = rig.settings.projection_db.read_bytes()
    for plain in rig.plain_ha1s(pbx, name):
        assert plain not in shown
        assert plain.encode() not in kept
    assert document.ha1_md5.startswith(wire.MASKED)
