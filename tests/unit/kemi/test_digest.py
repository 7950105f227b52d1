"""Answering a PBX's challenge, by the examples of RFC 7616."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import digest

# RFC 7616, 3.9.1
USER, REALM, PASSWORD = "Mufasa", "http-auth@example.org", "Circle of Life"
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CLIENT_NONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
URI = "/dir/index.html"


def challenge_text(algorithm: str) -> str:
    return f'Digest realm="{REALM}", qop="auth, auth-int", algorithm={algorithm}, nonce="{NONCE}", opaque="{OPAQUE}"'


@pytest.mark.parametrize(
    ("algorithm", "hashed", "response"),
    [
        ("MD5", "md5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "sha256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, hashed: str, response: str) -> None:
    (challenge,) = digest.challenges(challenge_text(algorithm), proxy=False)
    ha1 = hashlib.new(hashed, f"{USER}:{REALM}:{PASSWORD}".encode(), usedforsecurity=False).hexdigest()
    line = digest.answer(challenge, USER, ha1, "GET", URI, 1, CLIENT_NONCE)
    assert line.startswith(f'Authorization: Digest username="{USER}", realm="{REALM}", nonce="{NONCE}"')
    for part in (
        f'uri="{URI}"',
        f"algorithm={algorithm}",
        "qop=auth,",
        "nc=00000001",
        f'cnonce="{CLIENT_NONCE}"',
        f'response="{response}"',
        f'opaque="{OPAQUE}"',
    ):
        assert part in line


def test_an_answer_without_qop_is_that_of_rfc_2069() -> None:
    (challenge,) = digest.challenges(f'Digest realm="{REALM}", nonce="{NONCE}"', proxy=False)
    line = digest.answer(challenge, USER, "0" * 32, "REGISTER", "sip:pbx.example", 1, "c")
    ha2 = hashlib.md5(b"REGISTER:sip:pbx.example", usedforsecurity=False).hexdigest()
    plain = f"{'0' * 32}:{NONCE}:{ha2}"
    assert f'response="{hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()}"' in line
    assert "nc=" not in line
    assert "qop" not in line


def test_a_407_is_answered_in_proxy_authorization() -> None:
    (challenge,) = digest.challenges(challenge_text("MD5"), proxy=True)
    assert digest.answer(challenge, USER, "0" * 32, "REGISTER", URI, 1, "c").startswith(
        "Proxy-Authorization: "
    )


def test_the_nonce_count_has_eight_hexadecimal_digits() -> None:
    (challenge,) = digest.challenges(challenge_text("MD5"), proxy=False)
    assert "nc=0000001f," in digest.answer(challenge, USER, "0" * 32, "REGISTER", URI, 31, "c")


def test_the_strongest_challenge_comes_first() -> None:
    found = digest.challenges(f"{challenge_text('MD5')}, {challenge_text('SHA-256')}", proxy=False)
    assert [c.algorithm for c in found] == ["SHA-256", "MD5"]


def test_the_algorithm_is_md5_when_none_is_named() -> None:
    assert digest.challenges('Digest realm="r", nonce="n"', proxy=False)[0].algorithm == "MD5"


@pytest.mark.parametrize("algorithm", ["SHA-512-256", "MD5-sess", "SHA-256-sess", "AKAv1-MD5", "", "x"])
def test_an_algorithm_we_do_not_speak_is_left_out(algorithm: str) -> None:
    assert digest.challenges(challenge_text(algorithm or '""'), proxy=False) == []


def test_a_challenge_whose_qop_we_do_not_speak_is_left_out() -> None:
    assert digest.challenges('Digest realm="r", nonce="n", qop="auth-int"', proxy=False) == []


def test_a_challenge_of_another_scheme_is_left_out() -> None:
    assert digest.challenges('Basic realm="r", nonce="n"', proxy=False) == []
    assert len(digest.challenges('Basic realm="r", Digest realm="r", nonce="n"', proxy=False)) == 1


def test_a_challenge_without_a_nonce_is_left_out() -> None:
    assert digest.challenges('Digest realm="r"', proxy=False) == []
    assert digest.challenges('Digest realm="r", nonce=""', proxy=False) == []


def test_a_refused_challenge_does_not_take_its_neighbour_with_it() -> None:
    text = 'Digest realm="r", nonce="", Digest realm="r", nonce="good"'
    assert [c.nonce for c in digest.challenges(text, proxy=False)] == ["good"]


def test_names_and_schemes_are_read_in_any_case() -> None:
    (found,) = digest.challenges(
        'dIgEsT REALM="r", Nonce="n", STALE=TRUE, Algorithm=md5, QOP=auth', proxy=False
    )
    assert (found.realm, found.nonce, found.stale, found.algorithm, found.qop) == (
        "r",
        "n",
        True,
        "MD5",
        True,
    )


def test_commas_and_quotes_within_a_value_belong_to_it() -> None:
    (found,) = digest.challenges(r'Digest realm="a, \"b\"", nonce="n,m"', proxy=False)
    assert (found.realm, found.nonce) == (r"a, \"b\"", "n,m")


@given(st.text(max_size=200))
def test_any_text_can_be_read_as_challenges(text: str) -> None:
    for found in digest.challenges(text, proxy=False):
        assert found.nonce


_value = st.text(st.characters(exclude_characters='"\\\r\n', exclude_categories=["Cs"]), max_size=20)


@given(_value, _value.filter(bool), st.booleans())
def test_an_answer_is_one_line_whatever_the_challenge_says(realm: str, nonce: str, qop: bool) -> None:
    text = f'Digest realm="{realm}", nonce="{nonce}"' + (', qop="auth"' if qop else "")
    for challenge in digest.challenges(text, proxy=False):
        line = digest.answer(challenge, USER, "0" * 32, "REGISTER", URI, 1, "c")
        assert not re.search(r"[\r\n]", line)


def test_the_next_nonce_is_read_from_authentication_info() -> None:
    assert digest.next_nonce('qop=auth, nextnonce="fresh", rspauth="x"') == "fresh"
    assert digest.next_nonce("") == ""
