"""The seal on a dialog: only marks of our own making, for the call they were made for, are believed."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kemi import call_mark
from kemi.call_mark import Mark
from kemi.media_profile import CODECS, Leg, Terms

KEY, OTHER_KEY = bytes(range(16)), bytes(range(1, 17))
MARK = Mark("00d1a2b3c4e5f607", Terms())


def test_a_reference_is_sixteen_hexadecimal_digits_and_new_each_time() -> None:
    first, second = call_mark.new_reference(), call_mark.new_reference()
    assert first != second
    assert len(bytes.fromhex(first)) == 8


POLICIES = st.lists(st.sampled_from(CODECS), unique=True).map(tuple)
TERMS = st.none() | st.builds(Terms, st.sampled_from(Leg), POLICIES, POLICIES)


@given(TERMS, st.booleans(), st.text(max_size=60))
def test_a_mark_is_read_back(media: Terms | None, outbound: bool, call_id: str) -> None:
    mark = Mark(call_mark.new_reference(), media, outbound, call_mark.short_tag("caller"))
    assert call_mark.unseal(call_mark.seal(mark, call_id, KEY), call_id, KEY) == mark


@pytest.mark.parametrize(("outbound", "device"), [(True, "caller"), (False, "callee")])
def test_s6_the_device_is_told_from_the_pbx_by_its_tag(outbound: bool, device: str) -> None:
    mark = Mark("00d1a2b3c4e5f607", Terms(), outbound, call_mark.short_tag("caller"))
    assert {tag for tag in ("caller", "callee") if mark.is_device(tag)} == {device}


def test_a_mark_is_refused_for_another_call() -> None:
    assert call_mark.unseal(call_mark.seal(MARK, "call-1", KEY), "call-2", KEY) is None


def test_a_mark_is_refused_under_another_key() -> None:
    assert call_mark.unseal(call_mark.seal(MARK, "call-1", OTHER_KEY), "call-1", KEY) is None


def test_a_mark_whose_media_was_changed_is_refused() -> None:
    forged = call_mark.seal(MARK, "call-1", KEY).replace(".p-.", ".d.")
    assert call_mark.unseal(forged, "call-1", KEY) is None


def test_a_mark_without_a_seal_is_refused() -> None:
    for value in ("", ".", "..", MARK.call, f"{MARK.call}.r", f"{MARK.call}.r."):
        assert call_mark.unseal(value, "call-1", KEY) is None


@given(st.text(max_size=80))
@example("a.r.é")
def test_any_other_text_is_refused(value: str) -> None:
    assert call_mark.unseal(value, "call-1", KEY) is None


@given(st.integers(0, 40), st.sampled_from("0123456789abcdef.rd"))
def test_changing_any_letter_breaks_the_seal(position: int, letter: str) -> None:
    sealed = call_mark.seal(MARK, "call-1", KEY)
    position %= len(sealed)
    forged = sealed[:position] + letter + sealed[position + 1 :]
    assert forged == sealed or call_mark.unseal(forged, "call-1", KEY) is None


def test_the_mark_is_found_in_a_route_wherever_it_stands() -> None:
    assert call_mark.in_route("<sip:127.0.7.1;lr;nb=a.r.b>") == "a.r.b"
    assert call_mark.in_route("<sip:127.0.7.1;nb=a.r.b;lr>,<sip:other;lr>") == "a.r.b"
    assert call_mark.in_route("<sip:127.0.7.1;lr>") == ""
    assert call_mark.in_route("") == ""


@given(st.text(max_size=100))
def test_any_route_can_be_read(route: str) -> None:
    assert ">" not in call_mark.in_route(route)
