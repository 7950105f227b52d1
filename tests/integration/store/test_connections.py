"""Connections and what Kamailio is told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy.orm import Session

from control.domain.connection import ConnectionSpec, is_address
from control.domain.errors import AlreadyExistsError, InvalidFieldError, NotFoundError
from control.domain.push import PushToken
from control.domain.secret import Secret
from control.domain.targets import Hop, Located
from control.services import connections, outbox, people, projection, tokens, upstream
from control.services.projection import Projection
from control.services.upstream import Upstream
from kemi.wire import ConnectionDoc, DeviceDoc, LineDevice, LineDoc, unmask

DOMAIN = "nightbell.test"
KEY = bytes(range(32))
RESOLVED = {"pbx.example": ["192.0.2.7", "192.0.2.3"]}


def spec(
    name: str = "office", host: str = "pbx.example", users: tuple[str, ...] = ("alice",), **more: object
) -> ConnectionSpec:
    return ConnectionSpec(name, host, "1002", Secret("pw,1002"), users=users, **more)  # type: ignore[arg-type]


@pytest.fixture
def phone(session: Session) -> str:
    people.add_user(session, "alice")
    return people.add_device(session, "alice", "Phone", DOMAIN)[0].id


def projected(session: Session, known: Mapping[str, Sequence[str]] = RESOLVED) -> Projection:
    """As if a name server knew these hosts."""
    located = {}
    for route in projection.routes(session):
        addresses = [route.host] if is_address(route.host) else known.get(route.host, ())
        hops = [Hop(a, route.port or 5060, route.transport, n) for n, a in enumerate(addresses)]
        if hops:
            located[route] = Located(tuple(hops), tuple(addresses))
    return Projection(DOMAIN, located, KEY)


def documents(session: Session) -> projection.Documents:
    return projected(session).everything(session)


def test_all_documents_are_those_that_kamailio_reads(session: Session, phone: str) -> None:
    office = connections.add_connection(session, spec(wait=15.0))
    found = documents(session)
    device = DeviceDoc.decode(found["device"][phone])
    assert (device.aor, device.connection) == ("sip:alice@nightbell.test", office.id)
    assert len(unmask(device.ha1, KEY, f"{phone}/ha1")) == 32
    line = LineDoc.decode(found["line"]["sip:alice@nightbell.test"])
    assert (line.devices, line.wait) == ([LineDevice(phone, False)], 15.0)
    document = ConnectionDoc.decode(found["connection"][office.id])
    assert document.next_hop == "sip:192.0.2.7:5060;transport=udp"
    assert document.sources == ["192.0.2.3", "192.0.2.7"]
    assert (document.aors, document.user, document.auth_user) == (
        ["sip:alice@nightbell.test"],
        "1002",
        "1002",
    )
    assert (document.realm, document.ha1_md5, document.ha1_sha256) == ("", "", "")


def test_a_token_makes_the_device_one_that_can_be_woken(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [PushToken("fcm", "1", "production", "t")])
    line = LineDoc.decode(documents(session)["line"]["sip:alice@nightbell.test"])
    assert line.devices == [LineDevice(phone, True)]


def test_the_digests_appear_once_the_realm_is_learnt(session: Session, phone: str) -> None:
    office = connections.add_connection(session, spec())
    before = ConnectionDoc.decode(documents(session)["connection"][office.id])
    assert connections.learn_realm(session, office.id, "asterisk")
    assert not connections.learn_realm(session, office.id, "asterisk")
    after = ConnectionDoc.decode(documents(session)["connection"][office.id])
    md5 = hashlib.md5(b"1002:asterisk:pw,1002").hexdigest()  # noqa: S324
    sha256 = hashlib.sha256(b"1002:asterisk:pw,1002").hexdigest()
    assert unmask(after.ha1_md5, KEY, f"{office.id}/ha1_md5") == md5
    assert unmask(after.ha1_sha256, KEY, f"{office.id}/ha1_sha256") == sha256
    assert after.revision == before.revision, "a realm that was learnt must not register anew"


def test_s7_a_realm_that_was_learnt_is_not_replaced_by_another(session: Session, phone: str) -> None:
    office = connections.add_connection(session, spec())
    assert connections.learn_realm(session, office.id, "asterisk")
    assert not connections.learn_realm(session, office.id, "evil")
    assert ConnectionDoc.decode(documents(session)["connection"][office.id]).realm == "asterisk"


def test_s7_a_realm_that_a_person_has_set_is_never_replaced(session: Session, phone: str) -> None:
    office = connections.add_connection(session, spec(realm="asterisk"))
    assert not connections.learn_realm(session, office.id, "evil")
    assert ConnectionDoc.decode(documents(session)["connection"][office.id]).realm == "asterisk"


@pytest.mark.parametrize("realm", ['a"b', "a!!b", "a\\b", "a\r\nb", "x" * 129])
def test_a_realm_that_cannot_be_answered_safely_is_refused(session: Session, phone: str, realm: str) -> None:
    office = connections.add_connection(session, spec())
    with pytest.raises(InvalidFieldError):
        connections.learn_realm(session, office.id, realm)


def test_the_password_is_nowhere_in_the_row_or_its_repr(session: Session, phone: str) -> None:
    row = connections.add_connection(session, spec())
    assert "pw,1002" not in row.password
    assert row.password not in repr(row)


def test_a_connection_whose_host_does_not_resolve_has_no_document(session: Session, phone: str) -> None:
    connections.add_connection(session, spec(host="nowhere.example"))
    assert documents(session)["connection"] == {}
    assert [route.host for route in projection.routes(session)] == ["nowhere.example"]


def test_an_ipv6_address_needs_no_resolving_and_gets_brackets(session: Session, phone: str) -> None:
    row = connections.add_connection(session, spec(host="2001:db8::7", transport="tls", port=5061))
    document = ConnectionDoc.decode(documents(session)["connection"][row.id])
    assert document.next_hop == "sip:[2001:db8::7]:5061;transport=tls"


def test_the_revision_changes_with_the_address_of_the_pbx(session: Session, phone: str) -> None:
    row = connections.add_connection(session, spec())
    here = documents(session)["connection"][row.id]
    moved = projected(session, {"pbx.example": ["192.0.2.9"]})
    there = moved.everything(session)["connection"][row.id]
    assert ConnectionDoc.decode(here).revision != ConnectionDoc.decode(there).revision


def test_names_are_unique_and_users_must_exist(session: Session, phone: str) -> None:
    connections.add_connection(session, spec())
    with pytest.raises(AlreadyExistsError):
        connections.add_connection(session, spec())
    with pytest.raises(NotFoundError, match="carol"):
        connections.add_connection(session, spec("other", users=("carol",)))


def test_following_the_outbox_leads_to_the_same_documents_as_building_all(
    session: Session, phone: str
) -> None:
    held: dict[str, dict[str, str]] = {
        table: {} for table in ("device", "line", "connection", "trunk", "number")
    }
    last = 0

    def follow() -> None:
        nonlocal last
        changes = outbox.since(session, last)
        last = changes[-1].id
        for table, rows in projected(session).changed(session, changes).items():
            for key, value in rows.items():
                if value is None:
                    held[table].pop(key, None)
                else:
                    held[table][key] = value
        assert held == documents(session)

    follow()
    people.add_user(session, "bob")
    other, _ = people.add_device(session, "bob", "Desk", DOMAIN)
    office = connections.add_connection(session, spec(users=("alice", "bob"), wait=9.0))
    follow()
    tokens.store_tokens(session, phone, [PushToken("fcm", "1", "production", "t")])
    follow()
    connections.learn_realm(session, office.id, "asterisk")
    follow()
    connections.assign(session, "office", ["bob"])
    follow()
    tokens.drop_token(session, phone, PushToken("fcm", "1", "production", "t"))
    follow()
    people.remove_device(session, other.id)
    follow()
    connections.remove_connection(session, "office")
    follow()
    people.remove_user(session, "alice")
    follow()
    assert set(held["line"]) == {"sip:bob@nightbell.test"}


def test_upstream_states_keep_the_newest_and_survive_late_ones(session: Session, phone: str) -> None:
    row = connections.add_connection(session, spec())
    upstream.record(
        session,
        [
            Upstream(row.id, 2.0, "registered", 200, durable='{"cseq":2}'),
            Upstream(row.id, 1.0, "registering"),
            Upstream("c-removed", 1.0, "registered"),
        ],
    )
    upstream.record(session, [Upstream(row.id, 1.5, "failed", 403)])
    assert upstream.states(session)[row.id].state == "registered"
    assert upstream.durable(session) == {row.id: '{"cseq":2}'}
    connections.remove_connection(session, row.id)
    assert upstream.states(session) == {}
