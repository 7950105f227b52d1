"""Registrations over TCP and TLS, and connections that fail."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.registrar import FakeRegistrar
from tests.integration.registrar.rig import ADDRESS, Rig, next_hop

Name = Callable[[str], str]


def test_a_registration_over_tcp_says_so_in_its_contact(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("plain")
    rig.connect("c1", pbx, name, "tcp")
    rig.start()
    rig.registered("c1")
    contact = f"<sip:c1@{ADDRESS}:{rig.settings.edge.sip_port};transport=tcp>"
    assert [seen["contacts"] for seen in pbx.history(name)] == [[contact]] * 2
    assert pbx.statistics()["connections"] == 1


def test_refreshes_over_tcp_keep_to_one_connection(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("plain")
    pbx.order(name, granted=3)
    rig.connect("c1", pbx, name, "tcp")
    rig.start()
    rig.registered("c1")
    rig.refreshed("c1")
    assert pbx.statistics()["connections"] == 1


def test_many_accounts_share_a_connection(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    for number in range(10):
        rig.connect(f"c{number}", pbx, user("plain"), "tcp")
    rig.start()
    for number in range(10):
        rig.registered(f"c{number}")
    assert pbx.statistics()["connections"] <= 2


def test_a_registration_over_tls_with_a_certificate_that_is_trusted(
    rig: Rig, pbx: FakeRegistrar, user: Name, pbx_tls: Path
) -> None:
    name = user("plain")
    rig.trust(pbx_tls / "ca.pem")
    rig.connect("c1", pbx, name, "tls")
    rig.start()
    rig.registered("c1")
    contact = f"<sip:c1@{ADDRESS}:{rig.settings.edge.tls_port};transport=tls>"
    assert pbx.history(name)[-1]["contacts"] == [contact]


def test_a_certificate_that_nobody_we_know_has_signed_gets_no_password(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    rig.connect("c1", pbx, name, "tls")
    rig.start()
    assert rig.upstream("c1", "unreachable").why in ("not-sent", "no-answer")
    assert pbx.history(name) == []


def test_a_port_where_nobody_listens_is_told(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    with socket.socket() as closed:
        closed.bind((pbx.address, 0))
        hop = f"sip:{pbx.address}:{closed.getsockname()[1]};transport=tcp"
        rig.connect("c1", pbx, user("plain"), next_hop=hop)
        rig.start()
        assert rig.upstream("c1", "unreachable").why in ("not-sent", "no-answer")


@pytest.mark.parametrize("kind", ["reset", "resetlater"])
def test_a_connection_that_is_reset_is_told_and_opened_again(
    rig: Rig, pbx: FakeRegistrar, user: Name, kind: str
) -> None:
    name = user(kind)
    rig.connect("c1", pbx, name, "tcp")
    rig.start()
    told = rig.upstream("c1", "unreachable")
    assert told.why in ("not-sent", "no-answer")
    pbx.order(name, reset="")
    rig.registered("c1", within=12)
    assert pbx.statistics()["connections"] >= 2


def test_a_connection_lost_between_refreshes_is_opened_anew(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("plain")
    pbx.order(name, granted=4)
    rig.connect("c1", pbx, name, "tcp")
    rig.start()
    rig.registered("c1")
    assert pbx.ask("cut_connections") == 1
    rig.refreshed("c1")
    assert pbx.statistics()["connections"] == 2
    assert pbx.statistics()["gaps"] == 0


def test_the_next_hop_behind_a_silent_one_is_tried(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind((pbx.address, 0))
        hop = f"sip:{pbx.address}:{mute.getsockname()[1]};transport=udp"
        rig.connect("c1", pbx, user("plain"), next_hop=hop, alternatives=[next_hop(pbx)])
        rig.start()
        assert rig.upstream("c1", "unreachable").why == "no-answer"
        rig.registered("c1")
