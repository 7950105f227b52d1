"""Connections that are changed while they are at work: what is registered anew, and what is only told."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from sqlalchemy.orm import Session

from control.domain.connection import ConnectionSpec
from control.domain.errors import AlreadyExistsError, InvalidFieldError, NotFoundError
from control.domain.secret import Secret
from control.domain.targets import Hop, Located
from control.services import alarms, connection_changes, connections, outbox, people, projection, upstream
from control.services.projection import Projection
from control.services.upstream import Upstream
from kemi.wire import ConnectionDoc, DeviceDoc, LineDoc, NumberDoc, mask, unmask

DOMAIN = "nightbell.test"
KEY = bytes(range(32))
ALICE = f"sip:alice@{DOMAIN}"


def projected(session: Session) -> Projection:
    """As if every route led to one address."""
    address = "192.0.2.7"
    located = {
        route: Located((Hop(address, route.port or 5060, "udp"),), (address,))
        for route in projection.routes(session)
    }
    return Projection(DOMAIN, located, KEY)


def documents(session: Session) -> projection.Documents:
    return projected(session).everything(session)


def spec(name: str = "office", **more: Any) -> ConnectionSpec:
    fields = {"host": "pbx.example", "user": "1002", "password": Secret("pw,1002"), "users": ("alice",)}
    return ConnectionSpec(name, **{**fields, **more})


@pytest.fixture
def office(session: Session) -> str:
    people.add_user(session, "alice")
    people.add_user(session, "bob")
    people.add_device(session, "alice", "Phone", DOMAIN)
    return connections.add_connection(session, spec(realm="")).id


def document(session: Session, connection: str) -> ConnectionDoc:
    return ConnectionDoc.decode(documents(session)["connection"][connection])


def told_since(session: Session, last: int) -> set[tuple[str, str]]:
    return {(change.kind, change.key) for change in outbox.since(session, last)}


# ------------------------------------------------------------------------------------------------ changes


@pytest.mark.parametrize(
    "values",
    [
        {"host": "other.example"},
        {"port": 5070},
        {"transport": "tcp"},
        {"user": "1003"},
        {"auth_user": "1003"},
        {"password": Secret("another")},
        {"expires": 900},
        {"realm": "asterisk"},
        {"domain": "example.org"},
        {"outbound_proxy": "sip:192.0.2.9"},
        {"strategy": "single-contact"},
        {"register": False},
    ],
)
def test_r6_what_the_pbx_would_notice_is_registered_anew(
    session: Session, office: str, values: dict[str, Any]
) -> None:
    before = document(session, office).revision
    connection_changes.change(session, "office", values)
    assert document(session, office).revision != before


@pytest.mark.parametrize(
    "values",
    [
        {"name": "home"},
        {"wait": 9.0},
        {"media": "direct"},
        {"early_ringing": False},
        {"expires": 600},
        {"password": Secret("pw,1002")},
        {},
    ],
)
def test_r6_what_the_pbx_would_not_notice_leaves_the_registration_alone(
    session: Session, office: str, values: dict[str, Any]
) -> None:
    before = document(session, office).revision
    connection_changes.change(session, "office", values)
    assert document(session, office).revision == before


def test_a_change_is_told_in_its_own_transaction_and_no_other_connection_is(
    session: Session, office: str
) -> None:
    other = connections.add_connection(session, spec("other", users=("bob",))).id
    before, head = document(session, other), outbox.latest(session)
    connection_changes.change(session, "office", {"expires": 900})
    assert ("connection", office) in told_since(session, head)
    assert ("connection", other) not in told_since(session, head)
    assert document(session, other) == before


def test_nothing_changed_is_nothing_told(session: Session, office: str) -> None:
    head = outbox.latest(session)
    connection_changes.change(session, "office", {"host": "pbx.example", "wait": 20.0})
    assert told_since(session, head) == set()


def test_what_followed_from_another_field_follows_again(session: Session, office: str) -> None:
    connection_changes.change(session, "office", {"host": "new.example", "user": "1009"})
    changed = document(session, office)
    assert (changed.domain, changed.user, changed.auth_user) == ("new.example", "1009", "1009")
    connection_changes.change(session, "office", {"domain": "example.org"})
    connection_changes.change(session, "office", {"host": "newer.example"})
    assert document(session, office).domain == "example.org"


def test_another_pbx_has_another_realm_to_be_learnt(session: Session, office: str) -> None:
    connections.learn_realm(session, office, "asterisk")
    connection_changes.change(session, "office", {"wait": 9.0})
    assert document(session, office).realm == "asterisk"
    connection_changes.change(session, "office", {"host": "new.example"})
    assert (document(session, office).realm, document(session, office).ha1_md5) == ("", "")


def test_a_realm_that_was_learnt_is_learnt_anew_when_it_is_emptied(session: Session, office: str) -> None:
    connections.learn_realm(session, office, "asterisk")
    before = document(session, office).revision
    connection_changes.change(session, "office", {"realm": ""})
    assert document(session, office).realm == ""
    assert document(session, office).revision != before
    assert connections.learn_realm(session, office, "new")


def test_a_bad_value_changes_nothing_and_names_its_field(session: Session, office: str) -> None:
    before, head = document(session, office), outbox.latest(session)
    for values, field in (({"port": 0}, "port"), ({"expires": 59}, "expires"), ({"user": "1" * 300}, "user")):
        with pytest.raises(InvalidFieldError, match=f"^{field}: "):
            connection_changes.change(session, "office", values)
    assert document(session, office) == before
    assert told_since(session, head) == set()


def test_a_name_that_is_taken_and_one_that_is_unknown_are_said_so(session: Session, office: str) -> None:
    connections.add_connection(session, spec("other"))
    with pytest.raises(AlreadyExistsError):
        connection_changes.change(session, "office", {"name": "other"})
    with pytest.raises(NotFoundError):
        connection_changes.change(session, "nowhere", {"wait": 9.0})


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        ({"port": "zero"}, "port"),
        ({"wait": "long"}, "wait"),
        ({"register": "perhaps"}, "register"),
        ({"colour": "blue"}, "colour"),
        ({"users": "alice"}, "users"),
        ({"password": "secret"}, "password"),
        ({"expires": "6e2"}, "expires"),
    ],
)
def test_a_text_that_is_no_value_names_its_key(texts: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        connection_changes.parsed(texts)
    assert refused.value.field == field
    assert "secret" not in str(refused.value)


def test_texts_become_values_of_their_kind() -> None:
    texts = {
        "port": "",
        "expires": "900",
        "wait": "7.5",
        "register": "no",
        "host": "pbx.example",
        "realm": "",
    }
    values = connection_changes.parsed(texts)
    assert values == {
        "port": None, "expires": 900, "wait": 7.5, "register": False, "host": "pbx.example", "realm": "",
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- off and on again


def test_r6_a_disabled_connection_has_no_document_and_comes_back_as_it_was(
    session: Session, office: str
) -> None:
    before = document(session, office)
    head = outbox.latest(session)
    assert connection_changes.enable(session, "office", on=False)
    assert not connection_changes.enable(session, "office", on=False)
    changes = outbox.since(session, head)
    told = projected(session).changed(session, changes)
    assert told["connection"] == {office: None}
    assert [DeviceDoc.decode(text or "").connection for text in told["device"].values()] == [""]
    assert connection_changes.enable(session, "office", on=True)
    assert document(session, office) == before


def test_r2_a_connection_is_tried_again_without_a_change(session: Session, office: str) -> None:
    before, head = documents(session), outbox.latest(session)
    connection_changes.retry(session, "office")
    assert [(c.kind, c.key) for c in outbox.since(session, head)] == [(outbox.RETRY, office)]
    assert documents(session) == before
    connection_changes.change(session, "office", {"register": False})
    with pytest.raises(InvalidFieldError, match="does not register"):
        connection_changes.retry(session, "office")
    connection_changes.enable(session, "office", on=False)
    with pytest.raises(InvalidFieldError, match="is disabled"):
        connection_changes.retry(session, "office")
    with pytest.raises(NotFoundError):
        connection_changes.retry(session, "nobody")


def test_a_disabled_connection_no_longer_decides_how_long_a_call_waits(session: Session, office: str) -> None:
    connection_changes.change(session, "office", {"wait": 9.0})

    def wait() -> float:
        lines = documents(session)["line"]
        return LineDoc.decode(lines[ALICE]).wait

    assert wait() == 9.0
    connection_changes.enable(session, "office", on=False)
    assert wait() == 20.0


def test_r2_an_alarm_ends_with_its_connection(session: Session, office: str) -> None:
    other = connections.add_connection(session, spec("other")).id
    upstream.record(session, [Upstream(c, 1.0, "stopped", 403, why="forbidden") for c in (office, other)])
    assert alarms.count(session) == 2
    connection_changes.enable(session, "office", on=False)
    connections.remove_connection(session, "other")
    assert alarms.count(session) == 0


# ------------------------------------------------------------------------------------- trunks and numbers


def test_a_trunk_is_known_by_its_addresses_and_rings_by_number(session: Session, office: str) -> None:
    trunk = connections.add_connection(
        session,
        spec(
            "trunk",
            strategy="trunk",
            password=Secret(""),
            users=(),
            numbers=(("+4930123", "alice"), ("+4930124", "alice"), ("+4930124", "bob")),
        ),
    ).id
    assert not document(session, trunk).register
    assert document(session, trunk).strategy == "trunk"
    whole = projected(session).whole(session)
    assert whole["trunk"] == {"192.0.2.7": trunk}
    assert {key: NumberDoc.decode(text).aors for key, text in whole["number"].items()} == {
        f"{trunk}/+4930123": [ALICE],
        f"{trunk}/+4930124": [ALICE, f"sip:bob@{DOMAIN}"],
    }


def test_two_trunks_may_call_from_one_address(session: Session, office: str) -> None:
    ids = {
        connections.add_connection(session, spec(name, strategy="trunk", users=())).id
        for name in ("t1", "t2")
    }
    whole = projected(session).whole(session)
    assert set(whole["trunk"]["192.0.2.7"].split()) == ids


def test_numbers_come_and_go_and_their_people_are_told(session: Session, office: str) -> None:
    connections.add_connection(session, spec("trunk", strategy="trunk", users=(), numbers=(("1", "alice"),)))
    head = outbox.latest(session)
    connection_changes.renumber(session, "trunk", (("1", "bob"), ("2", "bob")), ("1",))
    trunk = connections.get_connection(session, "trunk")
    assert [(n.number, n.user_id) for n in trunk.numbers] == [("1", "bob"), ("2", "bob")]
    assert {("line", "alice"), ("line", "bob"), ("trunk", trunk.id)} <= told_since(session, head)
    with pytest.raises(InvalidFieldError, match=r"^numbers: "):
        connection_changes.renumber(session, "office", (("1", "bob"),), ())
    with pytest.raises(NotFoundError):
        connection_changes.renumber(session, "trunk", (("3", "carol"),), ())


def test_a_person_with_a_number_alone_calls_out_by_that_trunk(session: Session, office: str) -> None:
    device = people.add_device(session, "bob", "Desk", DOMAIN)[0].id
    trunk = connections.add_connection(
        session, spec("trunk", strategy="trunk", users=(), numbers=(("1", "bob"), ("2", "alice")), wait=8.0)
    ).id
    found = documents(session)
    assert DeviceDoc.decode(found["device"][device]).connection == trunk
    assert LineDoc.decode(found["line"][f"sip:bob@{DOMAIN}"]).wait == 8.0
    of_alice = [DeviceDoc.decode(d) for d in found["device"].values()]
    assert {d.connection for d in of_alice if d.aor == ALICE} == {office}


def test_a_person_who_goes_takes_the_numbers_along(session: Session, office: str) -> None:
    connections.add_connection(
        session, spec("trunk", strategy="trunk", users=(), numbers=(("1", "bob"), ("2", "alice")))
    )
    head = outbox.latest(session)
    people.remove_user(session, "bob")
    assert any(kind == "trunk" for kind, _ in told_since(session, head))
    session.expire_all()
    whole = projected(session).whole(session)
    assert [key.partition("/")[2] for key in whole["number"]] == ["2"]


def test_a_trunk_that_becomes_an_account_leaves_the_table_of_trunks(session: Session, office: str) -> None:
    connections.add_connection(session, spec("trunk", strategy="trunk"))
    head = outbox.latest(session)
    connection_changes.change(session, "trunk", {"strategy": "always"})
    assert any(kind == "trunk" for kind, _ in told_since(session, head))
    assert projected(session).whole(session)["trunk"] == {}


def test_devices_know_the_connections_that_sleep_with_them(session: Session, office: str) -> None:
    assert _rung_by(session) == []
    connection_changes.change(session, "office", {"strategy": "while-awake"})
    assert _rung_by(session) == [office]
    connection_changes.enable(session, "office", on=False)
    assert _rung_by(session) == []


def _rung_by(session: Session) -> list[str]:
    found = documents(session)["device"]
    return [c for text in found.values() for c in DeviceDoc.decode(text).rung_by]


# ------------------------------------------------------------------------------------------------- inbound


def test_a_pbx_may_register_here_with_a_password_that_is_shown_once(session: Session, office: str) -> None:
    connection, password = connection_changes.open_inbound(session, "office", DOMAIN)
    assert connection == office
    ha1 = hashlib.md5(f"{office}:{DOMAIN}:{password.reveal()}".encode()).hexdigest()  # noqa: S324
    masked = document(session, office).ha1_inbound
    assert unmask(masked, KEY, f"{office}/ha1_inbound") == ha1
    assert ha1 not in masked
    assert connection_changes.open_inbound(session, "office", DOMAIN)[1] != password
    assert connection_changes.close_inbound(session, "office")
    assert not connection_changes.close_inbound(session, "office")
    assert document(session, office).ha1_inbound == ""


def test_a_pbx_without_a_host_has_a_document_and_must_go_on_registering_here(
    session: Session, office: str
) -> None:
    inbound = connections.add_connection(
        session, spec("far", host="", domain=DOMAIN, strategy="trunk", inbound=True, password=Secret(""))
    ).id
    connection_changes.open_inbound(session, "far", DOMAIN)
    made = document(session, inbound)
    assert (made.next_hop, made.sources, made.register) == ("", [], False)
    assert made.ha1_inbound
    with pytest.raises(InvalidFieldError, match=r"^host: "):
        connection_changes.close_inbound(session, "far")


# ------------------------------------------------------------------------------------------------ documents


def test_ha1s_are_masked_each_by_its_own_label(session: Session, office: str) -> None:
    connections.learn_realm(session, office, "asterisk")
    made = document(session, office)
    md5 = hashlib.md5(b"1002:asterisk:pw,1002").hexdigest()  # noqa: S324
    sha256 = hashlib.sha256(b"1002:asterisk:pw,1002").hexdigest()
    assert made.ha1_md5 == mask(md5, KEY, f"{office}/ha1_md5")
    assert made.ha1_sha256 == mask(sha256, KEY, f"{office}/ha1_sha256")
    found = documents(session)
    for device, text in found["device"].items():
        assert len(unmask(DeviceDoc.decode(text).ha1, KEY, f"{device}/ha1")) == 32
    whole = str(found)
    assert md5 not in whole
    assert sha256 not in whole


def test_documents_come_page_by_page_and_are_the_same(
    session: Session, office: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        connections.add_connection(session, spec(f"c{number}", users=("alice", "bob")))
    whole = documents(session)
    monkeypatch.setattr(projection, "PAGE", 3)
    assert documents(session) == whole
    page = projected(session).page(session, "connection")
    assert len(page.documents) == 3
    assert page.last == max(page.documents)


def test_the_proxy_is_part_of_the_route_and_the_pbx_keeps_its_domain(session: Session, office: str) -> None:
    connection_changes.change(session, "office", {"outbound_proxy": "sip:proxy.example:5070;transport=tcp"})
    (route,) = projection.routes(session)
    assert (route.host, route.outbound_proxy) == ("pbx.example", "sip:proxy.example:5070;transport=tcp")
    assert document(session, office).domain == "pbx.example"
