"""People, devices and push tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from control.domain.credential import ha1_md5
from control.domain.errors import AlreadyExistsError, InvalidFieldError, NotFoundError
from control.domain.push import PushToken
from control.services import outbox, people, registrations, tokens
from control.services.projection_rows import Rows
from control.store.session import seal_of
from kemi.wire import LineDevice, LineDoc

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


def test_what_is_pushed_beside_calls_is_the_persons_choice_and_reaches_kamailio(
    session: Session, phone: str
) -> None:
    rows = Rows(session, DOMAIN, {}, b"key")
    (line,) = rows.lines(["alice"]).values()
    assert (LineDoc.decode(line).messages, LineDoc.decode(line).voicemail) == (False, False)
    before = outbox.latest(session)
    people.choose_pushes(session, "alice", messages=True)
    people.choose_pushes(session, "alice", voicemail=True)
    session.flush()
    assert changes(session, before) == {(outbox.LINE, "alice")}
    (line,) = rows.lines(["alice"]).values()
    assert (LineDoc.decode(line).messages, LineDoc.decode(line).voicemail) == (True, True)
    row = people.choose_pushes(session, "alice", messages=False)
    assert (row.push_messages, row.push_voicemail) == (False, True)
    with pytest.raises(NotFoundError):
        people.choose_pushes(session, "nobody", messages=True)


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
    assert tokens.drop_token(session, phone, VOIP)
    assert not tokens.drop_token(session, phone, VOIP)
    assert tokens.tokens_of(session, phone) == {}
    assert changes(session, before) == {("token", phone), ("line", "alice")}


def test_p2_a_token_brought_again_after_the_providers_timestamp_is_kept(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP], at=1000.0)
    tokens.store_tokens(session, phone, [VOIP], at=2000.0)
    assert not tokens.drop_token(session, phone, VOIP, unless_newer_than=1500.0)
    assert tokens.drop_token(session, phone, VOIP, unless_newer_than=2500.0)


def test_a_device_that_is_gone_is_no_error_for_its_tokens(session: Session) -> None:
    assert not tokens.store_tokens(session, "alice-gone", [VOIP])
    assert not tokens.drop_token(session, "alice-gone", VOIP)


ALERT = PushToken("apns", "org.example.phone", "production", "cc33", "alert")


def states(session: Session, device: str) -> list[str]:
    return [run.last.state for run in registrations.of_device(session, device)]


def test_several_tokens_of_a_device_are_kept_side_by_side(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP, ALERT])
    tokens.store_tokens(session, phone, [VOIP])
    assert tokens.tokens_of(session, phone) == {phone: [ALERT, VOIP]}
    tokens.store_tokens(session, phone, [VOIP], all_of_them=True)
    assert tokens.tokens_of(session, phone) == {phone: [VOIP]}


def test_p7_a_token_that_two_devices_claim_wakes_the_one_that_brought_it_last(
    session: Session, phone: str
) -> None:
    people.add_user(session, "bob")
    other = people.add_device(session, "bob", "Phone", DOMAIN)[0].id
    tokens.store_tokens(session, phone, [VOIP, ALERT])
    before = outbox.latest(session)
    tokens.store_tokens(session, other, [VOIP])
    assert tokens.tokens_of(session) == {phone: [ALERT], other: [VOIP]}
    assert changes(session, before) == {
        ("token", phone),
        ("line", "alice"),
        ("token", other),
        ("line", "bob"),
    }
    (run,) = registrations.of_device(session, phone)
    assert (run.last.state, other in run.last.reason) == ("token-moved", True)
    assert VOIP.token not in run.last.reason


def test_p2_a_quarantined_token_is_kept_but_wakes_nobody(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP], at=1000.0)
    before = outbox.latest(session)
    assert tokens.quarantine(session, phone, VOIP, 2000.0)
    assert changes(session, before) == {("token", phone), ("line", "alice")}
    tokens.store_tokens(session, phone, [VOIP], at=3000.0)
    (kept,) = tokens.tokens_of(session, phone)[phone]
    assert (kept.token, kept.quarantined_at, kept.stored_at) == (VOIP.token, 2000.0, 3000.0)
    document = LineDoc.decode(Rows(session, DOMAIN, {}, b"key").lines(["alice"])[f"sip:alice@{DOMAIN}"])
    assert document.devices == [LineDevice(phone, False)]


def test_a_device_with_a_token_for_messages_alone_cannot_be_woken_for_a_call(
    session: Session, phone: str
) -> None:
    for held, wakes in (([ALERT], False), ([VOIP, ALERT], True)):
        tokens.store_tokens(session, phone, held)
        document = LineDoc.decode(Rows(session, DOMAIN, {}, b"key").lines(["alice"])[f"sip:alice@{DOMAIN}"])
        assert document.devices == [LineDevice(phone, wakes)]


def test_p2_a_corrected_environment_stays(session: Session, phone: str) -> None:
    tokens.store_tokens(session, phone, [VOIP])
    before = outbox.latest(session)
    assert tokens.correct_environment(session, phone, VOIP, "sandbox")
    assert changes(session, before) == {("token", phone)}
    tokens.store_tokens(session, phone, [VOIP])
    (kept,) = tokens.tokens_of(session, phone)[phone]
    assert (kept.environment, kept.corrected) == ("sandbox", True)


def test_p2_a_token_that_is_gone_is_neither_quarantined_nor_corrected(session: Session, phone: str) -> None:
    assert not tokens.quarantine(session, phone, VOIP, 1.0)
    assert not tokens.correct_environment(session, phone, VOIP, "sandbox")


def test_p7_a_token_not_brought_for_too_long_is_aged_out_and_the_log_says_so(
    session: Session, phone: str
) -> None:
    tokens.store_tokens(session, phone, [VOIP], at=1000.0)
    tokens.store_tokens(session, phone, [replace(ALERT, stored_at=0)], at=900.0)
    before = outbox.latest(session)
    assert tokens.prune(session, before=1000.0) == 1
    assert tokens.tokens_of(session, phone) == {phone: [VOIP]}
    assert changes(session, before) == {("token", phone)}
    assert tokens.prune(session, before=1001.0) == 1
    assert tokens.tokens_of(session, phone) == {}
    assert "token-aged-out" in states(session, phone)
