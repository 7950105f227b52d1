"""People, devices and push tokens."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from control.domain.credential import ha1_md5
from control.domain.errors import AlreadyExistsError, InvalidFieldError, NotFoundError
from control.domain.push import PushToken
from control.services import outbox, people, tokens
from control.store.session import seal_of

DOMAIN = "nightbell.test"
VOIP = PushToken("apns", "org.example.phone.voip", "production", "aa11")


def changes(session: Session, after: int) -> set[tuple[str, str]]:
    return {(change.kind, change.key) for change in outbox.since(session, after)}


@pytest.fixture
def phone(session: Session) -> str:
    people.add_user(session, "alice")
    return people.add_device(session, "alice", "Phone", DOMAIN)[0].id


def test_a_device_gets_a_password_that_only_its_digest_is_kept_of(session: Session) -> None:
    people.add_user(session, "alice", "Alice")
    device, password = people.add_device(session, "alice", "Phone", DOMAIN)
    assert device.id.startswith("alice-")
    assert password.reveal() not in device.ha1
    digest = ha1_md5(device.id, DOMAIN, password.reveal())
    assert digest not in device.ha1
    assert seal_of(session).open(device.ha1).reveal() == digest


def test_a_person_is_added_once(session: Session) -> None:
    people.add_user(session, "alice")
    with pytest.raises(AlreadyExistsError):
        people.add_user(session, "alice")


@pytest.mark.parametrize("user", ["", "Alice", "al ice", "alice\r\n", "-alice", "a" * 65, "alice@x", "älice"])
def test_a_user_id_that_is_no_address_is_refused(session: Session, user: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        people.add_user(session, user)
    assert refused.value.field == "user"


def test_a_device_needs_a_person_and_a_name_of_one_line(session: Session) -> None:
    with pytest.raises(NotFoundError):
        people.add_device(session, "bob", "Phone", DOMAIN)
    people.add_user(session, "bob")
    with pytest.raises(InvalidFieldError, match="line breaks"):
        people.add_device(session, "bob", "Phone\r\nX: y", DOMAIN)


def test_removing_a_device_takes_its_tokens_along_and_says_so(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP])
    before = outbox.latest(session)
    people.remove_device(session, phone)
    assert tokens.tokens_of(session) == {}
    assert changes(session, before) == {("device", phone), ("token", phone), ("line", "alice")}


def test_removing_a_person_removes_the_devices(session: Session, phone: str) -> None:
    people.remove_user(session, "alice")
    assert people.list_devices(session) == []
    with pytest.raises(NotFoundError):
        people.get_user(session, "alice")


def test_p7_tokens_replace_those_that_the_device_had(session: Session, phone: str) -> None:
    fcm = PushToken("fcm", "12345", "production", "f" * 4000)
    assert tokens.store_tokens(session, phone, [VOIP])
    assert tokens.store_tokens(session, phone, [fcm])
    assert tokens.tokens_of(session, phone) == {phone: [fcm]}


def test_p7_the_same_token_again_is_no_change_that_others_must_hear_of(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP])
    before = outbox.latest(session)
    assert not tokens.store_tokens(session, phone, [VOIP])
    assert changes(session, before) == set()


def test_a_new_token_in_place_of_an_old_one_does_not_change_the_line(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP])
    before = outbox.latest(session)
    assert tokens.store_tokens(session, phone, [PushToken(VOIP.provider, VOIP.app, VOIP.environment, "bb22")])
    assert changes(session, before) == {("token", phone)}


def test_p2_a_dead_token_is_dropped_once(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP])
    before = outbox.latest(session)
    assert tokens.drop_token(session, phone, VOIP.token)
    assert not tokens.drop_token(session, phone, VOIP.token)
    assert tokens.tokens_of(session, phone) == {}
    assert changes(session, before) == {("token", phone), ("line", "alice")}


def test_p2_a_token_brought_again_after_the_providers_timestamp_is_kept(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP], at=1000.0)
    tokens.store_tokens(session, phone, [VOIP], at=2000.0)
    assert not tokens.drop_token(session, phone, VOIP.token, unless_newer_than=1500.0)
    assert tokens.drop_token(session, phone, VOIP.token, unless_newer_than=2500.0)


def test_a_device_that_is_gone_is_no_error_for_its_tokens(session: Session) -> None:
    assert not tokens.store_tokens(session, "alice-gone", [VOIP])
    assert not tokens.drop_token(session, "alice-gone", "aa11")
