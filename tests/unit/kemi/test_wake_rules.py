"""Who rings, who is woken, and which held calls a REGISTER joins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kemi import wake_rules
from kemi.wake_rules import Entry
from kemi.wire import LineDevice

PHONE, TABLET, DESK = LineDevice("phone", True), LineDevice("tablet", True), LineDevice("desk", False)

_words = st.text(
    st.characters(exclude_characters=" \n#", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda word: word != "-")
_entries = st.lists(
    st.builds(
        Entry,
        transaction=_words,
        call=_words,
        flow=st.one_of(st.just(""), _words),
        at=st.integers(0, 4_000_000_000).map(float),
        heard=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda e: e.transaction,
)
NOW = 1_800_000_000.0
FLOW, OTHER_FLOW = "sip:198.51.100.20:40000", "sip:198.51.100.20:40001;transport=tls"


def test_a_device_without_a_binding_is_woken() -> None:
    plan = wake_rules.plan([PHONE], set())
    assert (plan.ring, plan.asleep, plan.doubtful) == ([], ["phone"], [])
    assert plan.hold


def test_w1_a_device_with_a_binding_rings_at_once_while_another_is_woken() -> None:
    plan = wake_rules.plan([PHONE, DESK], {"desk"})
    assert (plan.ring, plan.asleep, plan.doubtful) == (["desk"], ["phone"], [])
    assert plan.hold


def test_a_device_with_a_binding_and_a_push_token_rings_and_is_doubted() -> None:
    plan = wake_rules.plan([PHONE], {"phone"})
    assert (plan.ring, plan.asleep, plan.doubtful) == (["phone"], [], ["phone"])
    assert plan.hold


def test_nothing_is_held_when_all_devices_are_awake_for_certain() -> None:
    assert not wake_rules.plan([DESK], {"desk"}).hold


@given(st.sets(st.sampled_from(["phone", "tablet", "desk"])))
def test_every_device_is_either_rung_or_woken(bound: set[str]) -> None:
    plan = wake_rules.plan([PHONE, TABLET, DESK], bound)
    assert sorted(plan.ring + plan.asleep) == ["desk", "phone", "tablet"]
    assert set(plan.doubtful) <= set(plan.ring)


@given(_entries)
def test_the_note_of_held_calls_reads_back_as_written(entries: list[Entry]) -> None:
    assert wake_rules.read_entries(wake_rules.write_entries(entries)) == entries


def test_a_call_is_noted_once() -> None:
    value = wake_rules.with_entry("", Entry("1:2", "call"))
    assert wake_rules.with_entry(value, Entry("1:2", "call")) == value


def test_striking_out_one_call_leaves_the_others() -> None:
    second = Entry("3:4", "second", FLOW, NOW)
    value = wake_rules.write_entries([Entry("1:2", "first"), second])
    value, _ = wake_rules.without_entry(value, "1:2")
    assert wake_rules.read_entries(value) == [second]
    assert wake_rules.without_entry(value, "3:4")[0] == ""


def test_a_call_that_is_struck_out_was_heard_of_or_was_not() -> None:
    value = wake_rules.write_entries([Entry("1:2", "first"), Entry("3:4", "second", FLOW, NOW)])
    value = wake_rules.with_heard(value, "3:4")
    assert wake_rules.without_entry(value, "1:2")[1]
    assert not wake_rules.without_entry(value, "3:4")[1]
    assert wake_rules.without_entry(value, "3:40") == (value, False)


def test_only_the_call_that_was_heard_of_is_noted_so() -> None:
    value = wake_rules.write_entries([Entry("1:2", "first"), Entry("1:23", "second", FLOW, NOW)])
    assert wake_rules.read_entries(wake_rules.with_heard(value, "1:2")) == [
        Entry("1:2", "first", heard=True),
        Entry("1:23", "second", FLOW, NOW),
    ]


def test_w4_a_device_that_answers_before_its_call_is_noted_has_heard_of_it() -> None:
    others = wake_rules.write_entries([Entry("1:2", "first")])
    for before in ("", others):
        value = wake_rules.with_heard(wake_rules.with_heard(before, "3:4"), "3:4")  # by two of its contacts
        assert wake_rules.read_entries(value) == wake_rules.read_entries(before), "not to be rung for it yet"
        value = wake_rules.with_entry(value, Entry("3:4", "second", FLOW, NOW))
        assert wake_rules.read_entries(value)[-1] == Entry("3:4", "second", FLOW, NOW, heard=True)
        assert wake_rules.without_entry(value, "3:4") == (before, False)


def test_an_answer_that_comes_after_the_call_is_over_leaves_no_more_than_a_register_takes_away() -> None:
    value = wake_rules.with_heard("", "1:2")
    assert wake_rules.without_entry(value, "1:2") == ("", False)
    assert wake_rules.claim(value, FLOW, NOW) == ([], "")


def test_a_note_in_another_form_is_no_held_call() -> None:
    assert wake_rules.read_entries("") == []
    assert wake_rules.read_entries("1:2 call\n\n1:2 call - 0 0 more") == []


def test_w4_three_registers_by_one_flow_ring_once() -> None:
    value = wake_rules.with_entry("", Entry("1:2", "call", at=NOW))
    due, value = wake_rules.claim(value, FLOW, NOW + 2)
    assert [e.call for e in due] == ["call"]
    for later in (2.1, 2.9):
        due, value = wake_rules.claim(value, FLOW, NOW + later)
        assert due == []


def test_w7_a_device_that_comes_back_by_another_flow_is_rung_there() -> None:
    value = wake_rules.with_entry("", Entry("1:2", "call", FLOW, NOW, heard=True))
    due, value = wake_rules.claim(value, OTHER_FLOW, NOW)
    assert [(e.transaction, e.flow) for e in due] == [("1:2", FLOW)], "where it was rung before"
    assert wake_rules.claim(value, OTHER_FLOW, NOW)[0] == []


def test_w7_a_device_that_slept_through_its_invite_is_rung_again_by_the_same_flow() -> None:
    value = wake_rules.with_entry("", Entry("1:2", "call", FLOW, NOW))
    assert wake_rules.claim(value, FLOW, NOW + wake_rules.SILENCE - 0.01)[0] == []
    assert len(wake_rules.claim(value, FLOW, NOW + wake_rules.SILENCE)[0]) == 1


def test_w4_a_device_that_has_answered_anything_is_not_rung_again_by_the_same_flow() -> None:
    value = wake_rules.with_heard(wake_rules.with_entry("", Entry("1:2", "call", FLOW, NOW)), "1:2")
    assert wake_rules.claim(value, FLOW, NOW + 60)[0] == []


@given(_entries, _words, st.integers(0, 4_000_000_000).map(float))
def test_w4_nothing_is_claimed_twice(entries: list[Entry], flow: str, now: float) -> None:
    due, value = wake_rules.claim(wake_rules.write_entries(entries), flow, now)
    assert due == [e for e in entries if e.is_due(flow, now)]
    assert wake_rules.claim(value, flow, now) == ([], value)
    kept = wake_rules.read_entries(value)
    assert [(e.transaction, e.call) for e in kept] == [(e.transaction, e.call) for e in entries]


def test_w4_the_register_that_rang_a_device_does_not_ring_it_again_however_late_it_comes_again() -> None:
    word = wake_rules.flow_word("sip:192.0.2.1:5060", "call-id", "7")
    value = wake_rules.with_entry("", Entry("1:2", "call", word, NOW))
    assert wake_rules.claim(value, word, NOW + 60) == ([], value)
    next_one = wake_rules.flow_word("sip:192.0.2.1:5060", "call-id", "8")
    assert len(wake_rules.claim(value, next_one, NOW + wake_rules.SILENCE)[0]) == 1
