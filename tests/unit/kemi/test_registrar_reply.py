"""A reply to a REGISTER of ours: taken from one process to another whole, and its list of contacts read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import registrar_reply
from kemi.registrar_reply import Reply

OURS = "<sip:c1@127.0.7.1:5060>"
_text = st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]), max_size=30)


@given(
    st.builds(
        Reply,
        code=st.integers(100, 699),
        reason=_text,
        cseq=st.integers(0, 2**31 - 1),
        contacts=_text,
        challenge=_text,
        extra=_text,
        authentication_info=_text,
        service_route=_text,
        at=st.integers(0, 4_000_000_000_000_000).map(lambda us: us / 1e6),
    )
)
def test_a_reply_comes_out_of_the_queue_as_it_went_in(reply: Reply) -> None:
    assert Reply.decode(reply.encode()) == reply


@pytest.mark.parametrize("text", ["", "200", "x\x1f1", "\x1f" * 8, "\x1f" * 9])
def test_a_text_that_is_no_reply_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Reply.decode(text)


@pytest.mark.parametrize(
    ("contacts", "items"),
    [
        ("", []),
        (OURS, [OURS]),
        (
            f"{OURS};expires=60,<sip:a@b>;q=0.5,sip:c@d",
            [f"{OURS};expires=60", "<sip:a@b>;q=0.5", "sip:c@d"],
        ),
        (
            '<sip:a@b>;+sip.instance="<urn:uuid:1,2>", <sips:c@d>',
            ['<sip:a@b>;+sip.instance="<urn:uuid:1,2>"', "<sips:c@d>"],
        ),
        ('"Desk <1>, upstairs" <sip:a@b>;q=1, "" sip:c@d', ["<sip:a@b>;q=1", "sip:c@d"]),
        (r'"\"<x>\"" <sip:a@b>', ["<sip:a@b>"]),
    ],
)
def test_a_list_of_contacts_is_taken_apart(contacts: str, items: list[str]) -> None:
    found = registrar_reply.split_contacts(contacts)
    assert found == items


@pytest.mark.parametrize(
    ("contact", "bare"),
    [
        ("<sip:a@b;ob>;q=1;expires=5", "<sip:a@b;ob>"),
        ("sip:a@b;expires=5", "<sip:a@b>"),
        ("Alice <sip:a@b>", "<sip:a@b>"),
    ],
)
def test_a_contact_is_named_by_its_uri_alone(contact: str, bare: str) -> None:
    assert registrar_reply.bare(contact) == bare


@pytest.mark.parametrize(
    ("contact", "seconds"),
    [
        (f"{OURS};expires=60", 60),
        (f'{OURS};q=1; Expires = "60" ;x', 60),
        (OURS, 0),
        ("<sip:a@b;expires=7>", 0),
        ('<sip:a@b>;+sip.instance="<urn:uuid:1>";expires=60', 60),
        ("sip:a@b;expires=60", 60),
        (f"{OURS};expires=9999999999", 0),
    ],
)
def test_the_time_a_contact_has_left_is_its_own_parameter(contact: str, seconds: int) -> None:
    assert registrar_reply.remaining(contact) == seconds


def test_r4_a_name_like_ours_is_not_ours() -> None:
    for contact in (
        "<sip:c11@127.0.7.1>",
        "<sip:xc1@127.0.7.1>",
        '"sip:c1@" <sip:other@x>',
        "<sip:c1.127.0.7.1>",
    ):
        assert Reply(200, "OK", 1, contacts=f"{contact};expires=60").granted_to("c1", 600) is None, contact


@given(st.text(max_size=200))
def test_any_header_can_be_read(text: str) -> None:
    reply = Reply(200, "OK", 1, contacts=text, extra=text)
    assert reply.granted_to("c1", 600) is None or "sip:c1@" in text
    assert 0 <= reply.retry_after <= 3600
    assert reply.min_expires >= 0
    for item in registrar_reply.split_contacts(text):
        assert registrar_reply.remaining(item) >= 0
        assert registrar_reply.bare(item).startswith("<")
