"""Every way in which a PBX asks who we are: answered, or said why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.registrar import FakeRegistrar
from tests.integration.registrar.rig import Rig

Name = Callable[[str], str]


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("plain", "MD5"),
        ("sha", "SHA-256"),
        ("both", "SHA-256"),
        ("md5first", "SHA-256"),
        ("joined", "SHA-256"),
        ("noqop", "MD5"),
        ("authint", "MD5"),
        ("proxy", "MD5"),
    ],
)
def test_the_strongest_challenge_is_answered(
    rig: Rig, pbx: FakeRegistrar, user: Name, kind: str, algorithm: str
) -> None:
    name = user(kind)
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.registered("c1")
    assert (told.code, told.realm, told.algorithm, told.expires) == (200, pbx.realm, algorithm, 60)
    first, second = pbx.history(name)
    assert (first["credentials"], first["code"]) == (False, 407 if kind == "proxy" else 401)
    assert (second["algorithm"], second["code"]) == (algorithm, 200)


def test_a_pbx_that_asks_nothing_is_registered_at_in_one_round(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("open")
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    assert [seen["code"] for seen in pbx.history(name)] == [200]


def test_r3_the_realm_is_learned_and_then_answered(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("plain")
    rig.connect("c1", pbx, name, realm="")
    rig.start()
    told = rig.upstream("c1", "awaiting-credential")
    assert (told.code, told.realm) == (401, pbx.realm)
    rig.connect("c1", pbx, name)
    rig.registered("c1")
    assert [seen["credentials"] for seen in pbx.history(name)] == [False, True]


def test_s7_a_challenge_for_a_foreign_realm_gets_no_answer(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("foreignrealm")
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.upstream("c1", "refused")
    assert (told.why, told.code) == ("foreign-realm", 401)
    assert [seen["credentials"] for seen in pbx.history(name)] == [False]


def test_a_challenge_that_cannot_be_answered_is_said(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("aka")
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.upstream("c1", "refused")
    assert (told.why, told.code) == ("unsupported-digest", 401)
    assert [seen["credentials"] for seen in pbx.history(name)] == [False]


def test_a_nonce_is_sent_back_sign_by_sign(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    """What Kamailio's transactions send for us has a socket's address in place of each ``!!``."""
    name = user("bang")
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")


def test_r1_a_refresh_takes_one_round_while_the_nonce_lives(rig: Rig, pbx: FakeRegistrar, user: Name) -> None:
    name = user("plain")
    pbx.order(name, granted=3)
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    for _ in range(2):
        rig.refreshed("c1")
    assert [seen["code"] for seen in pbx.history(name)][:4] == [401, 200, 200, 200]
    assert [seen["nonce_count"] for seen in pbx.history(name)][1:4] == ["00000001", "00000002", "00000003"]


def test_r1_the_nonce_that_the_pbx_names_for_next_time_is_used(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("nextnonce")
    pbx.order(name, granted=3)
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    for _ in range(2):
        rig.refreshed("c1")
    assert [seen["code"] for seen in pbx.history(name)][:4] == [401, 200, 200, 200]


@pytest.mark.parametrize("knobs", [{"nonce_life": 0.5}, {"nonce_uses": 1}])
def test_a_nonce_that_has_gone_stale_is_replaced_without_a_refusal(
    rig: Rig, pbx: FakeRegistrar, user: Name, knobs: dict[str, Any]
) -> None:
    name = user("plain")
    pbx.order(name, granted=3, **knobs)
    rig.connect("c1", pbx, name)
    rig.start()
    rig.registered("c1")
    rig.refreshed("c1")
    assert [seen["code"] for seen in pbx.history(name)][:4] == [401, 200, 401, 200]
    assert pbx.statistics()["bad_digests"] == 0


def test_a_pbx_that_calls_every_nonce_stale_is_not_argued_with_for_ever(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("stale")
    rig.connect("c1", pbx, name)
    rig.start()
    told = rig.upstream("c1", "refused")
    assert told.why == "wrong-password"
    assert len(pbx.history(name)) <= 4


def test_r2_a_wrong_password_is_tried_once_and_the_right_one_when_it_comes(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    rig.connect("c1", pbx, name, **rig.wrong_password("c1", name))
    rig.start()
    told = rig.upstream("c1", "refused")
    assert (told.why, told.code) == ("wrong-password", 401)
    assert told.due - told.ts >= 60
    assert pbx.statistics()["bad_digests"] == 1
    rig.connect("c1", pbx, name, revision="2")
    rig.registered("c1")


def test_another_auth_user_than_the_extension_is_named_in_the_answer(
    rig: Rig, pbx: FakeRegistrar, user: Name
) -> None:
    name = user("plain")
    rig.connect("c1", pbx, name, auth_user="somebody-else")
    rig.start()
    assert rig.upstream("c1", "refused").why == "wrong-password"
