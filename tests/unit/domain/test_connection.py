"""What is refused when a connection is saved, with the name of the field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from control.domain.connection import ConnectionSpec
from control.domain.credential import ha1_md5, ha1_sha256, new_connection_id, new_device_id, new_password
from control.domain.errors import InvalidFieldError
from control.domain.journal import Step
from control.domain.secret import Secret
from control.domain.text import all_printable, printable


def spec(**more: Any) -> ConnectionSpec:
    fields = {"name": "office", "host": "pbx.example", "user": "1002", "password": Secret("secret")}
    return ConnectionSpec(**{**fields, **more})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", ""),
        ("host", "pbx.example:5060"),
        ("host", "pbx example"),
        ("host", "-pbx.example"),
        ("host", "pbx..example"),
        ("host", "192.0.2.300"),
        ("host", "[2001:db8::1]"),
        ("host", "pbx.example\r\nX: y"),
        ("host", "a" * 254),
        ("domain", "pbx;transport=tcp"),
        ("port", 0),
        ("port", 65536),
        ("port", -1),
        ("transport", "sctp"),
        ("user", ""),
        ("user", "1" * 300),
        ("user", "1002\r\n"),
        ("user", "10 02"),
        ("user", "1002@pbx"),
        ("user", "a!!b"),
        ("user", "100%"),
        ("auth_user", 'a"b'),
        ("auth_user", "a\\b"),
        ("auth_user", "a\nb"),
        ("realm", "a!!b"),
        ("realm", "x" * 129),
        ("password", Secret("")),
        ("password", Secret("pass\r\nword")),
        ("password", Secret("p" * 257)),
        ("expires", 0),
        ("expires", 59),
        ("expires", 86401),
        ("expires", 31_536_000),
        ("wait", 0.0),
        ("wait", 121.0),
        ("wait", float("nan")),
        ("media", "direkt"),
        ("name", " "),
        ("name", "off\x00ice"),
        ("name", "\ud800"),
        ("strategy", "sometimes"),
        ("outbound_proxy", "proxy.example"),
        ("outbound_proxy", "sips:proxy.example"),
        ("outbound_proxy", "sip:proxy.example:0"),
        ("outbound_proxy", "sip:proxy.example:70000"),
        ("outbound_proxy", "sip:proxy..example"),
        ("outbound_proxy", "sip:proxy.example;transport=carrier-pigeon"),
        ("outbound_proxy", "sip:proxy.example;maddr=192.0.2.1"),
        ("outbound_proxy", "sip:proxy.example\r\nX: y"),
        ("outbound_proxy", "sip:u@proxy.example"),
        ("numbers", (("+4930123", "alice"),)),  # it is no trunk
    ],
)
def test_a_value_that_cannot_be_kept_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        spec(**{field: value})
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")
    assert refused.value.id == "invalid-field"


@pytest.mark.parametrize(
    "field", ["name", "host", "user", "password", "domain", "auth_user", "realm", "outbound_proxy"]
)
@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\u2028"])
def test_no_field_takes_a_line_break(field: str, break_: str) -> None:
    good = {"outbound_proxy": "sip:proxy.example"}.get(field, "x")
    for text in (f"{good}{break_}", f"{break_}{good}", f"{good}{break_}Contact: <sip:evil@192.0.2.9>"):
        with pytest.raises(InvalidFieldError) as refused:
            spec(**{field: Secret(text) if field == "password" else text})
        assert refused.value.field == field


@pytest.mark.parametrize("number", ["", "+", "49 30", "a@b", "123;x", "1" * 65, "12\r\n3", "=1"])
def test_a_number_of_a_trunk_is_one(number: str) -> None:
    with pytest.raises(InvalidFieldError, match=r"^number: "):
        spec(strategy="trunk", numbers=((number, "alice"),))


def test_a_pbx_that_registers_here_needs_no_host_but_every_other_one_does() -> None:
    inbound = spec(host="", domain="nightbell.test", strategy="trunk", inbound=True, password=Secret(""))
    assert (inbound.route.host, inbound.registers) == ("", False)
    for wrong in ({"strategy": "trunk"}, {"inbound": True}):
        with pytest.raises(InvalidFieldError, match=r"^host: "):
            spec(host="", domain="nightbell.test", **wrong)


@pytest.mark.parametrize(
    "more",
    [
        {"host": "192.0.2.7"},
        {"host": "2001:db8::7"},
        {"host": "pbx.example."},
        {"host": "xn--mnchen-3ya.example"},
        {"user": "+4989123;phone-context=x"},
        {"user": "al%20ice"},
        {"auth_user": "DOMAIN/alice", "realm": "asterisk"},
        {"password": Secret('p"w\\d äöü')},
        {"register": False, "password": Secret("")},
        {"expires": 60},
        {"expires": 86400},
        {"port": None, "transport": "auto"},
        {"strategy": "while-awake"},
        {"strategy": "single-contact"},
        {"strategy": "trunk", "password": Secret(""), "numbers": (("+4930123", "alice"), ("*98", "bob"))},
        {"outbound_proxy": "sip:proxy.example"},
        {"outbound_proxy": "sip:proxy.example:5070;transport=tcp;lr"},
        {"outbound_proxy": "sip:[2001:db8::7]:5061;transport=tls"},
    ],
)
def test_what_pbxs_really_use_is_accepted(more: dict[str, object]) -> None:
    spec(**more)


def test_domain_and_digest_user_follow_from_host_and_user() -> None:
    assert (spec().sip_domain, spec().digest_user) == ("pbx.example", "1002")
    assert spec(domain="example.org", auth_user="x").sip_domain == "example.org"


def test_the_password_is_in_no_repr() -> None:
    assert "secret" not in repr(spec())
    assert str(Secret("secret")) == "Secret(***)"
    assert f"{Secret('secret')}" == "Secret(***)"


def test_names_and_passwords_cannot_be_guessed() -> None:
    assert len({new_device_id("alice") for _ in range(500)}) == 500
    assert new_connection_id().startswith("c")
    assert len(set(new_password())) > 5


def test_digests_are_those_of_rfc_7616() -> None:
    # RFC 7616 §3.9.1: the same A1 in both algorithms.
    user, realm, password = "Mufasa", "http-auth@example.org", "Circle of Life"
    assert ha1_md5(user, realm, password) == "3d78807defe7de2157e2b0b6573a855f"
    assert ha1_sha256(user, realm, password) == (
        "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
    )


def test_what_the_network_says_is_kept_without_control_characters() -> None:
    assert printable("Doe, Jane", 100) == "Doe, Jane"
    assert printable("Käthe ☎", 100) == "Käthe ☎"
    assert (
        printable("a\r\nb\x00", 100)
        == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    )
    assert printable("x" * 500, 10) == "x" * 10


def test_of_a_record_only_the_texts_that_are_named_and_unfit_are_mended() -> None:
    limits = {"call": 4, "reason": 9}
    fit = Step("call", 1.0, "failed", device="a\r\nb", reason="gone away")
    assert all_printable(fit, limits) is fit
    assert all_printable(replace(fit, call="too long", reason="a\r\nb"), limits) == replace(
        fit, call="too ", reason="a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"
    )
