"""What a device's Contact says of push, and what of it a PBX may see."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kemi import contact

# RFC 8599, 1 (figure 2): the example of the standard, folded lines joined.
RFC_8599_CONTACT = (
    "<sip:alice@alicemobile.example.com;pn-provider=acme;pn-param=acme-param;pn-prid=ZTY4ZDJlMzODE1NmUgKi0K>"
)
LINPHONE_IOS = (
    '"Alice" <sip:alice@198.51.100.20:53221;transport=tls;pn-provider=apns;'
    "pn-prid=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08%3Aremote&"
    "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752%3Avoip;"
    "pn-param=Z2V957B3D6.org.linphone.phone.voip%26remote;pn-silent=1;pn-timeout=0>"
    ';+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";expires=3600'
)
LINPHONE_ANDROID = (
    "<sip:alice@198.51.100.20;transport=udp;pn-provider=fcm;pn-param=929724111839;"
    "pn-prid=fAk3:APA91b_token-With~signs>"
)
LEGACY = (
    "<sip:alice@198.51.100.20;app-id=org.example.phone.prod;pn-type=apple;pn-tok=ABCDEF;transport=tcp>;q=0.5"
)
ACROBITS = (
    "<sip:alice@198.51.100.20:5060;transport=tls;PN-Provider=apns;pn-param=TEAM123456.org.example.phone.voip;"
    "pn-prid=aa11bb22>"
)
ALL = (RFC_8599_CONTACT, LINPHONE_IOS, LINPHONE_ANDROID, LEGACY, ACROBITS)


# The same with the lines as they are printed, and what says that it refreshes by itself (4.1.4, figure 3).
RFC_8599_REFRESHING = RFC_8599_CONTACT.replace(";", ";\r\n       ") + ";\r\n       +sip.pnsreg"


@pytest.mark.parametrize("header", [RFC_8599_CONTACT, RFC_8599_REFRESHING])
def test_the_examples_of_rfc_8599_are_read(header: str) -> None:
    parsed = contact.parse(header)
    assert ("+sip.pnsreg" in parsed.attributes) == (header is RFC_8599_REFRESHING)
    assert parsed.parameters == {
        "pn-provider": "acme",
        "pn-param": "acme-param",
        "pn-prid": "ZTY4ZDJlMzODE1NmUgKi0K",
    }


def test_linphones_two_tokens_are_read_unescaped() -> None:
    parsed = contact.parse(LINPHONE_IOS)
    assert parsed.parameters["pn-param"] == "Z2V957B3D6.org.linphone.phone.voip&remote"
    remote, voip = parsed.parameters["pn-prid"].split("&")
    assert remote.endswith(":remote")
    assert voip.endswith(":voip")
    assert parsed.instance == "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    assert parsed.attributes["expires"] == "3600"


def test_an_fcm_token_with_colons_and_dashes_is_read_whole() -> None:
    assert contact.parse(LINPHONE_ANDROID).parameters["pn-prid"] == "fAk3:APA91b_token-With~signs"


def test_parameter_names_are_read_in_any_case() -> None:
    assert contact.parse(ACROBITS).parameters["pn-provider"] == "apns"


def test_the_legacy_parameters_are_read() -> None:
    parameters = contact.parse(LEGACY).parameters
    assert (parameters["pn-type"], parameters["app-id"], parameters["pn-tok"]) == (
        "apple",
        "org.example.phone.prod",
        "ABCDEF",
    )


def test_parameters_behind_the_brackets_are_the_headers_not_the_uris() -> None:
    parsed = contact.parse("<sip:alice@198.51.100.20;transport=tcp>;pn-prid=aa")
    assert parsed.parameters == {"transport": "tcp"}
    assert parsed.attributes == {"pn-prid": "aa"}


def test_an_address_without_brackets_has_only_header_parameters() -> None:
    parsed = contact.parse("sip:alice@198.51.100.20;expires=60")
    assert (parsed.uri, parsed.parameters, parsed.attributes) == (
        "sip:alice@198.51.100.20",
        {},
        {"expires": "60"},
    )


def test_uri_headers_are_no_parameters() -> None:
    assert contact.parse("<sip:a@b;x=1?Subject=y;z=2>").parameters == {"x": "1"}


@pytest.mark.parametrize("header", ALL)
def test_p6_no_push_parameter_reaches_the_pbx(header: str) -> None:
    public = contact.for_pbx(header, "198.51.100.20", 53221, "tls", aliased=True).lower()
    for secret in ("pn-", "app-id", "aa11bb22", "abcdef", "apa91b", "9f86d081", "zty4zdjl", "929724111839"):
        assert secret not in public
    assert "sip:alice@" in public


def test_the_flow_is_added_inside_the_uri() -> None:
    public = contact.for_pbx(
        "<sip:alice@10.0.0.9:5060;transport=tls>;expires=60", "198.51.100.20", 53221, "tls", True
    )
    assert public == "<sip:alice@10.0.0.9:5060;transport=tls;alias=198.51.100.20~53221~3>;expires=60"


def test_the_flow_is_added_to_an_address_without_brackets() -> None:
    public = contact.for_pbx("sip:alice@10.0.0.9;expires=60", "198.51.100.20", 53221, "UDP", True)
    assert public == "<sip:alice@10.0.0.9;alias=198.51.100.20~53221~1>;expires=60"


def test_a_contact_without_push_or_nat_stays_as_it_is() -> None:
    header = '"Alice" <sip:alice@198.51.100.20:5060;transport=tcp>;q=0.7'
    assert contact.for_pbx(header, "198.51.100.20", 5060, "tcp", False) == header


@pytest.mark.parametrize(
    "header",
    [
        "<sip:a@b>; pn-prid=SECRET",
        "<sip:a@b>;pn-prid =SECRET",
        "<sip:a@b;pn-a.b=SECRET>",
        '<sip:a@b>;pn-prid="SECRET;SECRET"',
    ],
)
def test_p6_a_push_parameter_in_a_strange_place_does_not_reach_the_pbx(header: str) -> None:
    assert "SECRET" not in contact.for_pbx(header, "198.51.100.20", 5060, "udp", False)


def test_a_bracket_in_the_display_name_is_no_end_of_the_uri() -> None:
    public = contact.for_pbx('"a>b" <sip:a@b>', "198.51.100.20", 9, "udp", True)
    assert public == '"a>b" <sip:a@b;alias=198.51.100.20~9~1>'


def test_a_bracket_in_a_parameter_is_no_beginning_of_the_uri() -> None:
    header = 'sip:a@b;+sip.instance="<urn:uuid:1>"'
    assert contact.parse(header).uri == "sip:a@b"
    public = contact.for_pbx(header, "198.51.100.20", 9, "udp", True)
    assert public == '<sip:a@b;alias=198.51.100.20~9~1>;+sip.instance="<urn:uuid:1>"'


@pytest.mark.parametrize(
    ("protocol", "number"), [("udp", 1), ("tcp", 2), ("tls", 3), ("sctp", 4), ("ws", 5), ("wss", 6)]
)
def test_protocols_have_kamailios_numbers(protocol: str, number: int) -> None:
    assert f"~9~{number}>" in contact.for_pbx("<sip:a@b>", "h", 9, protocol, True)


_bits = st.sampled_from(
    [
        "<",
        ">",
        ";",
        ",",
        "=",
        '"',
        "?",
        "%",
        "%4",
        "sip:alice@b",
        "pn-prid=x",
        "pn-prid",
        "+sip.instance",
        "\r\n",
        " ",
        "é",
    ]
)
_bodies = st.one_of(st.text(max_size=200), st.lists(_bits, max_size=30).map("".join))


@given(_bodies)
@example("")
@example("*")
@example("<" * 2000)
@example(";" * 60_000)
def test_reading_a_contact_never_fails(body: str) -> None:
    parsed = contact.parse(body)
    assert isinstance(parsed.instance, str)


@given(_bodies, st.booleans())
@example("<sip:a@b" + ";pn-prid=x" * 6000 + ">", True)
def test_preparing_a_contact_for_the_pbx_never_fails_nor_adds_lines(body: str, aliased: bool) -> None:
    public = contact.for_pbx(body, "198.51.100.20", 5060, "udp", aliased)
    assert public.count("\n") <= body.count("\n")


_token = st.text("abcdefghijklmnopqrstuvwxyz0123456789:-_~.%&", min_size=8, max_size=300)


@given(_token, st.sampled_from(["pn-prid", "PN-PRID", "pn-param", "pn-provider", "pn-tok", "Pn-Call-Str"]))
def test_p7_a_token_of_any_length_never_reaches_the_pbx(token: str, name: str) -> None:
    header = f"<sip:alice@198.51.100.20;{name}=SECRET{token};transport=tls>;expires=60"
    public = contact.for_pbx(header, "198.51.100.20", 5060, "tls", True)
    assert "SECRET" not in public
    assert ";transport=tls;alias=" in public


@pytest.mark.parametrize(
    ("header", "number"),
    [
        ("", 0),
        ("*", 1),
        ("<sip:bob@192.0.2.9>;expires=60", 1),
        ('"Bob, the builder" <sip:bob@192.0.2.9;a=1,2>', 1),
        (r'"a\", \"b" <sip:bob@192.0.2.9>', 1),
        ("<sip:bob@192.0.2.9>, <sip:bob@192.0.2.10>", 2),
        ('"a" <sip:b@c>,"d,e" <sip:f@g>,sip:h@i', 3),
    ],
)
def test_s2_the_contacts_of_a_header_are_counted(header: str, number: int) -> None:
    assert contact.count(header) == number


@given(st.text(alphabet='",<>\\;a', max_size=200))
def test_s2_any_header_can_be_counted(header: str) -> None:
    assert 0 <= contact.count(header) <= header.count(",") + 1
