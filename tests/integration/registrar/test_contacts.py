"""What stands in the PBX's list of contacts: how long ours may, and who else does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.registrar import FakeRegistrar
from tests.integration.registrar.rig import ADDRESS, Rig

Name = Callable[[str], str]
DESK = "sip:desk@192.0.2.99:5060"


def bindings(pbx: FakeRegistrar, name: str) -> dict[str, float]:
    """The contacts the PBX has of an account, and the seconds each has left."""
    found: dict[str, float] = pbx.ask("bindings", user=name)
    return found


def ours(rig: Rig, connection: str) -> str:
    return f"sip:{connection}@{ADDRESS}:{rig.settings.edge.sip_port}"


@pytest.mark.parametrize(("kind", "granted"), [("shorter", 60), ("longer", 7200), ("byheader", 90)])
def test_r3_what_the_pbx_grants_is_what_counts(
    rig: Rig, pbx: FakeRegistrar, user: Name, kind: str, granted: int
) -> None:
    rig.connect("c1", pbx, user(kind), expires=600)
    rig.start()
    told = rig.registered("c1")
    assert told.expires == granted
    assert granted * 0.5 <= told.due - told.ts <= granted - 5


def test_r3_a_short_grant_does_not_ratchet_down_what_is_asked_for(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    pbx.order(name, granted=3)
    rig.connect("c1", pbx, name, expires=600)
    rig.start()
    rig.registered("c1")
    rig.refreshed("c1")
    assert {seen["expires"] for seen in pbx.history(name)} == {600}


def test_r4_a_200_that_leaves_ours_out_is_told_as_offline(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("hidden")
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.upstream("c1", "offline")
    assert (told.why, told.code, told.expires) == ("not-listed", 200, 0)
    assert told.due - told.ts >= 30
    assert len(pbx.history(name)) == 2


def test_somebody_elses_contact_beside_ours_is_left_alone(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("shared")
    rig.connect("c1", pbx, name)
    rig.start()
    assert rig.registered("c1").expires == 60, "ours, not the 77 seconds of the other"
    rig.remove("c1")
    rig.upstream("c1", "unregistered")
    assert list(bindings(pbx, name)) == [DESK]


def test_a_full_account_is_refused_unless_its_connection_may_take_it_over(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("full")
    rig.connect("c1", pbx, name)
    rig.start()
    assert rig.upstream("c1", "refused").why == "forbidden"
    assert list(bindings(pbx, name)) == [DESK]


def test_r7_a_single_contact_is_taken_over_and_given_back(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("full")
    rig.connect("c1", pbx, name, strategy="single-contact")
    rig.start()
    rig.registered("c1")
    assert list(bindings(pbx, name)) == [ours(rig, "c1")]
    rig.remove("c1")
    rig.upstream("c1", "unregistered")
    ((contact, left),) = bindings(pbx, name).items()
    assert contact == DESK
    assert 60 < left <= 77, "the rest of its time"


def test_a_takeover_from_a_pbx_of_one_time_nonces_is_not_taken_for_a_wrong_password(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("full")
    pbx.order(name, nonce_uses=1)
    rig.connect("c1", pbx, name, strategy="single-contact")
    rig.start()
    rig.registered("c1")
    assert list(bindings(pbx, name)) == [ours(rig, "c1")]


def test_a_pbx_that_replaces_the_oldest_by_itself_needs_no_takeover(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("single")
    rig.connect("c1", pbx, name, strategy="single-contact")
    rig.start()
    rig.registered("c1")
    assert [seen["code"] for seen in pbx.history(name)] == [401, 200]


def test_a_pbx_that_stays_full_is_told_as_such(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("full")
    pbx.order(name, max_contacts=0)
    rig.connect("c1", pbx, name, strategy="single-contact")
    rig.start()
    assert rig.upstream("c1", "refused").why == "contacts-full"


def test_the_way_that_the_pbx_wants_calls_to_take_is_kept_and_forgotten(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    rig.connect("c1", pbx, user("routes"))
    rig.start()
    rig.registered("c1")
    kept = rig.rpc("htable.get", "service_route", "c1")["item"]["value"]
    assert kept.replace(" ", "") == "<sip:edge1.pbx.test;lr>,<sip:edge2.pbx.test;lr>"
    rig.remove("c1")
    rig.upstream("c1", "unregistered")
    assert rig.table("service_route") == {}
