"""The PURR: it leads back to its device, nobody else can make one, and it says nothing of whose it is (RFC 8599, 6.2.1)."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import purr

KEY = bytes(range(16))
NOW = 1_800_000_000.0
TOKEN = re.compile(r"[A-Za-z0-9_-]+")  # of RFC 3261's token, and of RFC 3840's tag-value


def uri(value: str) -> str:
    return f"sip:alice@198.51.100.20:40000;transport=tcp;pn-purr={value};ob"


@given(st.from_regex(r"[a-z0-9._-]{1,80}", fullmatch=True), st.floats(0, 4e9))
def test_it_leads_back_to_its_device_whenever_it_was_made(device: str, now: float) -> None:
    value = purr.of(device, now, KEY)
    assert TOKEN.fullmatch(value)
    assert purr.device_in(uri(value), KEY) == device


def test_a_device_has_one_for_an_hour_and_then_another() -> None:
    first = purr.of("alice-k7f3qd", NOW, KEY)
    assert purr.of("alice-k7f3qd", NOW + 60, KEY) == first
    later = purr.of("alice-k7f3qd", NOW + 3600, KEY)
    assert later != first
    assert purr.device_in(uri(later), KEY) == purr.device_in(uri(first), KEY) == "alice-k7f3qd"


def test_neither_its_content_nor_its_length_says_whose_it_is() -> None:
    values = [purr.of(device, NOW, KEY) for device in ("a", "alice-k7f3qd", "alice-k7f3qe")]
    assert {len(value) for value in values} == {64}
    for one, other in itertools.pairwise(values):
        assert sum(a == b for a, b in zip(one, other, strict=True)) < 10


@pytest.mark.parametrize("position", range(0, 64, 7))
def test_one_that_was_changed_anywhere_is_none(position: int) -> None:
    value = purr.of("alice-k7f3qd", NOW, KEY)
    other = "A" if value[position] != "A" else "B"
    assert purr.device_in(uri(value[:position] + other + value[position + 1 :]), KEY) == ""


def test_one_of_another_installation_is_none() -> None:
    assert purr.device_in(uri(purr.of("alice-k7f3qd", NOW, KEY)), b"another key") == ""


@pytest.mark.parametrize("value", ["", "x", "=", "%00", "A" * 64, "A" * 5000, "ü" * 64, "QUJD", 'a"b'])
def test_whatever_else_is_there_is_none(value: str) -> None:
    assert purr.device_in(uri(value), KEY) == ""


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    assert purr.device_in(text, KEY) == ""
    assert purr.device_in(f"sip:a;pn-purr={text}", KEY) == ""
