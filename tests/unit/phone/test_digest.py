"""Digest answers against the examples of the RFCs."""

from __future__ import annotations

import pytest
from sipmessage import Response

from demo.phone.digest import Challenge, answer, challenges


def challenged(*values: str, code: int = 401) -> Response:
    response = Response(code, "Unauthorized")
    name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
    response.headers.setlist(name, list(values))
    return response


def test_md5_equals_the_example_of_rfc_2617() -> None:
    challenge = Challenge(
        "Authorization",
        realm="testrealm@host.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        qop_auth=True,
        opaque="5ccc069c403ebaf9f0171e9517f40e41",
    )
    text = answer(
        challenge,
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        password="Circle Of Life",
        cnonce="0a4f113b",
    )
    assert 'response="6629fae49393a05397450978507c4ef1"' in text
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in text
    assert "qop=auth, nc=00000001" in text


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_equals_the_examples_of_rfc_7616(algorithm: str, expected: str) -> None:
    challenge = Challenge(
        "Authorization",
        realm="http-auth@example.org",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        algorithm=algorithm,
        qop_auth=True,
    )
    text = answer(
        challenge,
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        password="Circle of Life",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert f'response="{expected}"' in text


def test_without_qop_the_old_formula_is_used() -> None:
    challenge = Challenge("Authorization", realm="asterisk", nonce="1699/abc")
    text = answer(challenge, method="REGISTER", uri="sip:nightbell.test", username="1002", password="secret")
    # computed apart, with md5sum
    assert 'response="7e38dfdc450aaf35e15b7cc957a01121"' in text
    assert "qop" not in text
    assert "cnonce" not in text


def test_reads_a_challenge_with_commas_in_quotes_and_several_qops() -> None:
    (found,) = challenges(
        challenged(
            'Digest realm="Doe, Jane", nonce="a,b=c", qop="auth-int, auth", stale=TRUE, algorithm=sha-256'
        )
    )
    assert found.realm == "Doe, Jane"
    assert found.nonce == "a,b=c"
    assert found.qop_auth
    assert found.stale
    assert found.algorithm == "SHA-256"


def test_keeps_the_servers_order_and_skips_what_it_does_not_know() -> None:
    found = challenges(
        challenged(
            'Digest realm="r", nonce="1", algorithm=SHA-512-256',
            'Digest realm="r", nonce="2", algorithm=SHA-256',
            'Digest realm="r", nonce="3", algorithm=MD5',
            'Basic realm="r"',
        )
    )
    assert [challenge.nonce for challenge in found] == ["2", "3"]


def test_a_407_is_answered_in_proxy_authorization() -> None:
    (found,) = challenges(challenged('Digest realm="r", nonce="n"', code=407))
    assert found.header == "Proxy-Authorization"


def test_a_quote_in_a_realm_cannot_end_the_parameter() -> None:
    (found,) = challenges(challenged(r'Digest realm="a\"b", nonce="n"'))
    assert found.realm == 'a"b'
    text = answer(found, method="REGISTER", uri="sip:x", username="alice", password="p")
    assert r'realm="a\"b"' in text
