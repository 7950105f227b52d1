"""The messages between Kamailio and the edge agent: they come back as they were sent, and nothing else is believed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kemi import wire

PROFILE = settings(max_examples=60, deadline=None)

EVENTS: tuple[type[wire.Event], ...] = (
    wire.HelloEvent,
    wire.RegisterEvent,
    wire.UpstreamEvent,
    wire.RefreshEvent,
    wire.CallEvent,
    wire.MediaEndEvent,
    wire.WakeEvent,
    wire.WakeEndEvent,
    wire.CounterEvent,
)
DOCUMENTS: tuple[type[Any], ...] = (
    wire.DeviceDoc,
    wire.LineDoc,
    wire.ConnectionDoc,
    wire.NumberDoc,
    wire.UpstreamDoc,
)

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": _text,
    "int": st.integers(-(2**63), 2**63),
    "float": _floats,
    "bool": st.booleans(),
    "list[str]": st.lists(_text, max_size=3),
    "list[list[Any]]": st.lists(
        st.tuples(_text, st.integers(0), st.integers(0), _floats, _floats, _text, _floats).map(list),
        max_size=3,
    ),
    "list[list[str]]": st.lists(st.lists(_text, min_size=5, max_size=5), max_size=3),
    "list[LineDevice]": st.lists(st.builds(wire.LineDevice, id=_text, push=st.booleans()), max_size=3),
}


def _messages(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any message of that kind; a field of a type that is not listed above fails here, and wants a place in it."""
    return st.builds(kind, **{f.name: _BY_TYPE[str(f.type)] for f in dataclasses.fields(kind)})


_events = st.one_of([_messages(kind) for kind in EVENTS])
_documents = st.one_of([_messages(kind) for kind in DOCUMENTS])
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | _floats | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)


# ------------------------------------------------------------------------------------------------- round trips


@given(_events)
@PROFILE
def test_an_event_comes_back_as_it_was_sent(event: wire.Event) -> None:
    assert wire.decode_event(event.encode().encode()) == event


@given(_documents)
@PROFILE
def test_a_document_comes_back_as_it_was_written(document: Any) -> None:
    assert type(document).decode(document.encode()) == document


@given(_events | _documents)
@PROFILE
def test_a_message_is_one_line_of_ascii(message: Any) -> None:
    """Whatever is in it (CR, LF, NUL, a line separator of Unicode): it goes into a datagram, a SIP header, a table."""
    text = message.encode()
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    "nasty", ["\r\nX-Evil: 1", "\n", "\0", '"', "\\", "\u2028", "é", "🔔", "</script>", "!!"]
)
def test_line_breaks_and_other_tricks_stay_within_their_field(nasty: str) -> None:
    event = wire.CallEvent(1.0, "call", "invite-in", caller=nasty, reason=nasty)
    assert "\r" not in event.encode()
    assert "\n" not in event.encode()
    assert wire.decode_event(event.encode().encode()) == event


def test_a_huge_field_comes_back_whole() -> None:
    event = wire.RegisterEvent(
        1.0, "d", "added", 200, tokens=[["fcm", "1", "production", "voip", "t" * 1_000_000]]
    )
    assert wire.decode_event(event.encode().encode()) == event


def test_every_event_fits_a_datagram_with_the_largest_contact_that_is_kept() -> None:
    """2048 bytes is what module registrar takes (contact_max_size); six bytes is the longest a character gets."""
    wide = "é" * 2048
    event = wire.RegisterEvent(
        1.0, "d", "added", 200, contact=wide, tokens=[["fcm", "", "production", "voip", wide]], instance=wide
    )
    assert len(event.encode()) < wire.MAX_DATAGRAM


def test_the_version_is_in_every_message() -> None:
    for message in (wire.HelloEvent(1.0, 7), wire.DeviceDoc("sip:a@b", "0"), wire.LineDoc([])):
        assert json.loads(message.encode())["v"] == wire.VERSION


def test_each_event_has_a_type_of_its_own() -> None:
    assert len({kind.type for kind in EVENTS}) == len(EVENTS)
    assert all(kind.type for kind in EVENTS)


# ---------------------------------------------------------------------------------------------------- refusals


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe{}")
@example(b"\xef\xbb\xbf{}")
@example(b"null")
@example(b"[]")
@example(b'"wake"')
@example(b"{" * 500)
@example(b"[" * 60_000)
@example(b"1" * 10_000)
@example(b'{"v":1,"type":' + b"9" * 10_000 + b"}")
@example(b'{"v":1,"type":"wake","ts":1e999')
@PROFILE
def test_bytes_that_are_no_event_are_a_wire_error(datagram: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_event(datagram)


@given(_anything)
@PROFILE
def test_json_that_is_no_event_is_a_wire_error(value: Any) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_event(json.dumps(value).encode())


@given(_events, st.data())
@PROFILE
def test_an_event_with_one_field_of_a_wrong_kind_is_a_wire_error_that_names_it(
    event: wire.Event, data: st.DataObject
) -> None:
    raw = json.loads(event.encode())
    name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(event)]))
    wrong = data.draw(st.sampled_from([None, {}, [1], [None], {"id": 1}]))
    raw[name] = wrong
    with pytest.raises(wire.WireError, match=name):
        wire.decode_event(json.dumps(raw).encode())


@pytest.mark.parametrize("kind", EVENTS + DOCUMENTS)
def test_a_missing_field_is_named(kind: type[Any]) -> None:
    required = [
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    values: dict[str, Any] = {"str": "", "int": 0, "float": 0.0, "bool": False}
    whole = {f.name: values.get(str(f.type), []) for f in dataclasses.fields(kind)} | {"v": wire.VERSION}
    assert kind.from_dict(whole) is not None
    for name in required:
        with pytest.raises(wire.WireError, match=f"'{name}'"):
            kind.from_dict({key: value for key, value in whole.items() if key != name})


@pytest.mark.parametrize("version", [0, 2, "1", None, -1, [], "x"])
def test_another_version_is_refused_and_named(version: object) -> None:
    raw = json.loads(wire.HelloEvent(1.0, 7).encode()) | {"v": version}
    with pytest.raises(wire.WireError, match="version"):
        wire.decode_event(json.dumps(raw).encode())


def test_a_key_we_do_not_know_is_ignored() -> None:
    raw = json.loads(wire.HelloEvent(1.0, 7).encode()) | {"later": {"deep": [1]}, "": None}
    assert wire.decode_event(json.dumps(raw).encode()) == wire.HelloEvent(1.0, 7)


def test_a_bool_is_no_number_and_a_number_no_bool() -> None:
    for text in ('{"v":1,"type":"hello","ts":1,"pid":true}', '{"v":1,"type":"hello","ts":true,"pid":1}'):
        with pytest.raises(wire.WireError):
            wire.decode_event(text.encode())
    with pytest.raises(wire.WireError, match="register"):
        wire.ConnectionDoc.decode(
            '{"v":1,"aors":[],"domain":"","user":"","auth_user":"","next_hop":"","sources":[],"register":1}'
        )


def test_a_whole_number_will_do_where_a_fraction_is_expected() -> None:
    assert wire.decode_event(b'{"v":1,"type":"hello","ts":1,"pid":7}') == wire.HelloEvent(1, 7)


def test_a_line_whose_devices_are_no_devices_is_refused() -> None:
    for devices in ('["a"]', '[{"push":true}]', '[{"id":null}]', "[[]]", "{}", '"a"'):
        with pytest.raises(wire.WireError, match="devices"):
            wire.LineDoc.decode(f'{{"v":1,"devices":{devices}}}')


# ----------------------------------------------------------------------------------------------------- secrets

_keys = st.binary(min_size=16, max_size=32)
_ha1s = st.sampled_from([16, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(bytes.hex)


@given(_ha1s, _keys, _text)
@PROFILE
def test_a_masked_ha1_is_unreadable_and_comes_back(ha1: str, key: bytes, label: str) -> None:
    masked = wire.mask(ha1, key, label)
    assert ha1 not in masked
    assert wire.unmask(masked, key, label) == ha1


@given(_ha1s, _keys)
@PROFILE
def test_equal_ha1s_look_different_under_each_label_and_key(ha1: str, key: bytes) -> None:
    masked = {
        wire.mask(ha1, key, "alice.ha1"),
        wire.mask(ha1, key, "bob.ha1"),
        wire.mask(ha1, key + b"x", "bob.ha1"),
    }
    assert len(masked) == 3


def test_no_ha1_stays_none_and_a_plain_one_stays_plain() -> None:
    assert wire.mask("", b"key", "label") == ""
    assert wire.unmask("", b"key", "label") == ""
    assert wire.unmask("0" * 32, b"key", "label") == "0" * 32


def test_credentials_do_not_show() -> None:
    device = wire.DeviceDoc("sip:alice@nightbell.test", "5ec2e7")
    connection = wire.ConnectionDoc([], "d", "u", "u", "sip:x", [], ha1_md5="5ec2e7", ha1_sha256="5ec2e7")
    for shown in (repr(device), str(device), repr(connection), f"{[connection]}"):
        assert "5ec2e7" not in shown
