"""How a connection stands, in words that an administrator can act on."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from control.domain.registration_phrases import UNRESOLVABLE, Standing, advice, state_words
from kemi.registrar_state import WHY, State

ALICE = Standing("office", "1002", "example.org", "pbx.example.org", "udp", state="refused")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("why", [*WHY, UNRESOLVABLE])
def test_u1_each_failure_has_one_sentence_that_says_what_to_do(why: str, transport: str) -> None:
    sentence = advice(replace(ALICE, why=why, transport=transport))
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0, "one sentence"
    assert ": " in sentence or ", " in sentence
    assert 40 < len(sentence) < 260
    assert any(word in sentence for word in ("check", "set", "look", "compare", "allow", "raise"))


def test_u1_no_two_failures_sound_the_same() -> None:
    sentences = [advice(replace(ALICE, why=why)) for why in (*WHY, UNRESOLVABLE)]
    assert len(set(sentences)) == len(sentences)
    shorts = [state_words(replace(ALICE, why=why)) for why in (*WHY, UNRESOLVABLE)]
    assert len(set(shorts)) == len(shorts)


@pytest.mark.parametrize(
    ("why", "code", "transport", "words"),
    [
        ("wrong-password", 401, "udp", "password"),
        ("forbidden", 403, "udp", "403"),
        ("unknown-account", 404, "udp", "1002@example.org"),
        ("no-answer", 0, "udp", "firewall"),
        ("no-answer", 0, "tls", "HTTPS"),
        ("too-brief", 423, "udp", "expires"),
        ("server-error", 500, "udp", "500"),
        ("not-sent", 0, "tls", "certificate"),
        ("not-sent", 0, "tcp", "listens on TCP"),
        (UNRESOLVABLE, 0, "udp", "DNS"),
    ],
)
def test_u1_the_sentence_names_what_to_check(why: str, code: int, transport: str, words: str) -> None:
    assert words in advice(replace(ALICE, why=why, code=code, transport=transport))


def test_a_failure_of_a_vocabulary_newer_than_this_still_says_what_the_pbx_said() -> None:
    assert "418 Teapot" in advice(replace(ALICE, why="teapot", code=418, reason="Teapot"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": "registered"}, "Connected"),
        ({"state": "offline", "why": "not-listed"}, "Accepted but offline (our contact is not listed)"),
        ({"state": "unreachable", "why": "no-answer"}, "Unreachable (no answer)"),
        ({"state": "stopped", "why": "wrong-password"}, "Stopped (wrong password)"),
        ({"state": "resting", "strategy": "while-awake"}, "Asleep, connects when a phone wakes"),
        ({"state": ""}, "Not heard of yet"),
        ({"state": "registered", "enabled": False}, "Disabled"),
        ({"state": "", "strategy": "trunk"}, "Trunk, needs no registration"),
        (
            {"state": "registered", "strategy": "trunk", "inbound": True},
            "Connected (the PBX registers here)",
        ),
        (
            {"state": "registered", "strategy": "trunk", "inbound": True, "lapsed": True},
            "Waiting for the PBX to register here",
        ),
        ({"state": "unreachable", "why": UNRESOLVABLE}, "Unreachable (host not found)"),
    ],
)
def test_u1_the_state_in_words(more: dict[str, object], words: str) -> None:
    assert state_words(replace(ALICE, **more)) == words  # type: ignore[arg-type]


def test_u1_every_state_of_the_registrar_has_words_of_its_own() -> None:
    for state in get_args(State):
        words = state_words(replace(ALICE, state=state, strategy="while-awake"))
        assert "-" not in words
        assert words[0].isupper()


def test_who_is_connected_needs_no_advice() -> None:
    assert advice(replace(ALICE, state="registered")) == ""
    assert advice(replace(ALICE, why="forbidden", enabled=False)) == ""
