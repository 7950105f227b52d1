"""What an INFO says of a key: in the two forms that phones send, and whatever else may come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import key_press
from kemi.key_press import BadKeyPressError, KeyPress


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", KeyPress("5", 160)),
        ("application/dtmf-relay", "Signal= *\r\nDuration= 250", KeyPress("*", 250)),
        ("application/dtmf-relay", "signal=#\nduration=9999999999999\n", KeyPress("#", 5000)),
        ("Application/DTMF-Relay; charset=utf-8", "Signal=d\r\nDuration=20\r\n", KeyPress("D", 100)),
        ("application/dtmf-relay", "Signal=11\r\n", KeyPress("#", 160)),
        ("application/dtmf-relay", "Signal=15\r\n", KeyPress("D", 160)),
        ("application/dtmf", "7", KeyPress("7", 160)),
        ("application/dtmf", " 10\r\n", KeyPress("*", 160)),
        # Not for us: a hook flash, an empty INFO, other packages.
        ("application/dtmf-relay", "Signal=16\r\nDuration=250\r\n", None),
        ("application/dtmf", "!", None),
        ("application/dtmf-relay", "", None),
        ("application/media_control+xml", "<media_control/>", None),
        ("application/dtmfx", "5", None),
        ("", "5", None),
    ],
)
def test_a_key_is_read_in_each_form_it_comes_in(kind: str, body: str, found: KeyPress | None) -> None:
    assert key_press.read(kind, "", body) == found


@pytest.mark.parametrize(
    ("body", "encoding", "code", "why"),
    [
        ("Duration=160\r\n", "", 400, "no line such as Signal=5"),
        ("Signal=\r\nDuration=160\r\n", "", 400, "none of 0 to 9"),
        ("Signal=E\r\n", "", 400, "none of 0 to 9"),
        ("Signal=17\r\n", "", 400, "none of 0 to 9"),
        ("Signal=55\r\n", "", 400, "none of 0 to 9"),
        ("Signal=5\r\nDuration=long\r\n", "", 400, "no number of milliseconds"),
        ("Signal=5\r\nDuration=-1\r\n", "", 400, "no number of milliseconds"),
        ("Signal=5\r\n", "gzip", 415, "Content-Encoding"),
    ],
)
def test_what_is_no_key_is_refused_with_the_reason(body: str, encoding: str, code: int, why: str) -> None:
    with pytest.raises(BadKeyPressError, match=why) as refused:
        key_press.read("application/dtmf-relay", encoding, body)
    assert refused.value.code == code


def test_a_key_is_in_no_repr() -> None:
    assert "7" not in repr(KeyPress("7", 160))


@given(st.sampled_from(["application/dtmf-relay", "application/dtmf"]), st.text(max_size=40), st.booleans())
def test_any_body_is_a_key_or_refused_in_words_of_our_own(kind: str, body: str, as_signal: bool) -> None:
    why = ""
    try:
        press = key_press.read(kind, "", f"Signal={body}" if as_signal else body)
    except BadKeyPressError as error:
        press, why = None, str(error)
    assert why.isascii()
    assert '"' not in why
    assert press is None or (press.key in key_press.KEYS and 100 <= press.milliseconds <= 5000)
