"""One-time links: used once, soon, and worth a new password."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from control.domain.errors import AmbiguousError, GoneError, InvalidFieldError, NotFoundError
from control.domain.secret import Secret
from control.services import outbox, people, phone_links
from control.store.models import PhoneLink
from control.store.session import Store

DOMAIN = "nightbell.test"
NOW = 1_000_000.0


@pytest.fixture
def browser(session: Session) -> str:
    people.add_user(session, "bob")
    return people.add_device(session, "bob", "Browser", DOMAIN)[0].id


def test_u3_a_link_gives_a_new_password_once(session: Session, browser: str) -> None:
    people.add_device(session, "bob", "Other", DOMAIN)
    before = outbox.latest(session)
    link = phone_links.create(session, browser, now=NOW)
    device, password = phone_links.redeem(session, link.code, DOMAIN, NOW + 60)
    assert device.id == browser
    assert people.device_by_password(session, browser, password, DOMAIN) is device
    assert [(c.kind, c.key) for c in outbox.since(session, before)] == [("device", browser)]
    with pytest.raises(GoneError, match="used already"):
        phone_links.redeem(session, link.code, DOMAIN, NOW + 61)
    assert people.device_by_password(session, browser, password, DOMAIN) is device


def test_u3_the_old_password_is_good_until_the_link_is_used(session: Session) -> None:
    people.add_user(session, "bob")
    device, old = people.add_device(session, "bob", "Browser", DOMAIN)
    link = phone_links.create(session, device.id, now=NOW)
    assert people.device_by_password(session, device.id, old, DOMAIN) is device
    phone_links.redeem(session, link.code, DOMAIN, NOW)
    assert people.device_by_password(session, device.id, old, DOMAIN) is None


def test_u3_the_code_itself_is_kept_nowhere(session: Session, browser: str) -> None:
    link = phone_links.create(session, browser, now=NOW)
    (row,) = session.scalars(select(PhoneLink)).all()
    assert link.code.reveal() not in str(vars(row))
    assert link.code.reveal() not in repr(link)
    assert len(link.code.reveal()) == 32


def test_u3_a_link_runs_out(session: Session, browser: str) -> None:
    link = phone_links.create(session, browser, minutes=5, now=NOW)
    assert link.expires_at == NOW + 300
    with pytest.raises(GoneError, match="run out"):
        phone_links.redeem(session, link.code, DOMAIN, NOW + 300)


def test_a_newer_link_takes_the_place_of_one_that_was_not_used(session: Session, browser: str) -> None:
    first = phone_links.create(session, browser, now=NOW)
    second = phone_links.create(session, browser, now=NOW + 1)
    with pytest.raises(GoneError, match="newer"):
        phone_links.redeem(session, first.code, DOMAIN, NOW + 2)
    phone_links.redeem(session, second.code, DOMAIN, NOW + 2)


def test_a_link_of_nobody_is_not_known(session: Session, browser: str) -> None:
    with pytest.raises(NotFoundError, match="not known"):
        phone_links.redeem(session, Secret("x" * 32), DOMAIN, NOW)
    link = phone_links.create(session, browser, now=NOW)
    people.remove_device(session, browser)
    session.expire_all()
    with pytest.raises(NotFoundError):
        phone_links.redeem(session, link.code, DOMAIN, NOW)


@pytest.mark.parametrize("minutes", [0, -1, 1441])
def test_u3_a_link_lives_shortly(session: Session, browser: str, minutes: int) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        phone_links.create(session, browser, minutes)
    assert refused.value.field == "minutes"


def test_of_two_that_open_it_at_once_one_gets_the_password(store: Store) -> None:
    with store.write() as session:
        people.add_user(session, "bob")
        device = people.add_device(session, "bob", "Browser", DOMAIN)[0].id
        link = phone_links.create(session, device, now=NOW)
    with store.read() as slow:
        # It has read the link as unused before the other is done with it.
        assert slow.get(PhoneLink, slow.scalars(select(PhoneLink.digest)).one()) is not None
        slow.rollback()
        with store.write() as quick:
            phone_links.redeem(quick, link.code, DOMAIN, NOW)
        with store.write() as late, pytest.raises(GoneError):
            phone_links.redeem(late, link.code, DOMAIN, NOW)


def test_a_device_is_found_by_its_name_if_no_other_has_it(session: Session, browser: str) -> None:
    assert people.find_device(session, "Browser").id == browser
    assert people.find_device(session, browser).id == browser
    people.add_device(session, "bob", "Browser", DOMAIN)
    assert people.find_device(session, browser).id == browser
    with pytest.raises(AmbiguousError, match=browser):
        people.find_device(session, "Browser")
    with pytest.raises(NotFoundError):
        people.find_device(session, "Bowser")


def test_nobody_is_known_by_a_wrong_password_or_name(session: Session, browser: str) -> None:
    assert people.device_by_password(session, browser, Secret("guess"), DOMAIN) is None
    assert people.device_by_password(session, "bob-nobody", Secret("guess"), DOMAIN) is None
    assert people.device_by_password(session, "", Secret(""), DOMAIN) is None
